"""The wire between the artist's machine and the GPU backend. Imports neither torch nor bpy."""
