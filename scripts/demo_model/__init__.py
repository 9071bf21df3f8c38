"""The embedded demo CLIP: the drawn world it learns from, its training and its evaluation."""
