"""A shot as two layered atlases: motion, maps, alpha, fit, rendering."""
