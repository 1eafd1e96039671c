"""The diffusion model: one code path for sampling, restoring and training, whatever parts a preset opens."""
