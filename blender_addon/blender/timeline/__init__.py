"""Layer strips: how they are found, placed, versioned, saved with the file and restored from it."""
