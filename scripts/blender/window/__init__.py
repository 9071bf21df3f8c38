"""A session in Blender's real window, played by a script: for pictures, and to see it work."""
