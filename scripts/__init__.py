"""Programs to run from a checkout: the command line, the demo, builds, measurements, training."""
