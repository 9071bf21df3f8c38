"""What runs inside Blender: the round trip, the window session, the test runner."""
