"""From any picture to a mask of its own size."""
