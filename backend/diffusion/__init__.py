"""A small text-conditional diffusion model in pixel space: network, noise schedule, sampling."""
