"""Customizes a diffusion model on the references (DreamBooth)."""
