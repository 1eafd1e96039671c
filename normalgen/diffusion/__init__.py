"""The diffusion model: one code path for sampling, restoring and training with the parts of any preset."""

__all__ = ["INDEX", "MODEL_FILE"]

INDEX = "model_index.json"
"""A folder with this file holds Stable Diffusion in diffusers' layout."""
MODEL_FILE = "preset.json"
"""A folder with this file holds a finished model; it stores settings, category and noun."""
