"""The first engine: an explicit atlas, splines and images fitted directly."""
