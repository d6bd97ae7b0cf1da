"""A model held against masks: counts, the figures that follow, and how sure these are."""
