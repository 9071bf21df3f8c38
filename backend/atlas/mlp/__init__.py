"""The engine mlp: the networks of Layered Neural Atlases (Kasten et al., 2021), as published."""
