"""What is done to the voxels of an image."""
