"""One file a family of losses: one value an image, shape (B,), or a map with voxelwise=True."""
