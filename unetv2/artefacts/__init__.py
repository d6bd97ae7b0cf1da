"""Models that were exported: what lies in them, and how they are run."""
