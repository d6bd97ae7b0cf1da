"""Reading image and mask files, one module per kind of file."""
