"""A shot as one atlas per layer: the two engines, files, rendering, quality."""
