"""The second engine: the networks of Layered Neural Atlases (Kasten et al., 2021), as published."""
