"""From any image to a mask of its own size."""
