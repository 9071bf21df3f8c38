"""Scripts that run inside Blender: the round trip, the window session, the test runner."""
