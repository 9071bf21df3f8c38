"""The evaluation of edits: clips × prompts × variants in one table and one contact sheet."""
