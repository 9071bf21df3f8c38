"""Where the objects are on every frame: given, carried from a few frames, or found."""
