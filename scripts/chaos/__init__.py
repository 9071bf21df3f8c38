"""Faults at random against a real backend: every job must end well, once, with its own result."""
