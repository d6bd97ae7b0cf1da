"""Sources of images and labels, one file each."""
