"""Segmentation models that an artist may have, behind one small interface."""
