"""Clips × prompts × variants: one table and one sheet.."""
