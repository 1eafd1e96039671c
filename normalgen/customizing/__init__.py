"""References in, customized diffusion model out (DreamBooth)."""
