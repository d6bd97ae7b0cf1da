"""The training that loses nothing."""
