"""One module per file format of exported models."""
