"""The GPU backend: server, journal, store, and the methods that make layers."""
