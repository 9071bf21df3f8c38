"""The engine explicit: splines, images and opacities fitted directly."""
