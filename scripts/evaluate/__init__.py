"""Clips × prompts × variants: one table and one sheet. `python -m scripts.evaluate --help`."""
