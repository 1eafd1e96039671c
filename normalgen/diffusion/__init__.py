"""The diffusion model: one code path for sampling, restoring and training, whatever parts a preset opens."""

__all__ = ["INDEX", "MODEL_FILE"]

INDEX = "model_index.json"
"""The file that makes a folder a Stable Diffusion in diffusers' layout."""
MODEL_FILE = "preset.json"
"""The file that makes a folder a finished model: its settings, category and noun."""
