"""Training of the demo diffusion model."""
