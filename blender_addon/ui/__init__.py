"""The user interface: properties, preferences, operators and panels."""
