"""Track an object by its looks: a small head on frozen features, trained on the key masks."""
