"""Optional segmentation models behind one small interface."""
