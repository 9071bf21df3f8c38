"""The command line: text2live-edit and text2live-paint."""
