"""Where jobs run: local processes, or a stand-in for tests."""
