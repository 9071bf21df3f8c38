"""The command line: edit, paint, and what they share."""
