"""The diffusion model: one code path for sampling, restoring and training, whatever parts a preset opens."""

__all__ = ["INDEX", "MODEL_FILE", "STABLE_FILES", "WEIGHT_FILES"]

INDEX = "model_index.json"
"""The file that makes a folder a Stable Diffusion in diffusers' layout."""
MODEL_FILE = "preset.json"
"""The file that makes a folder a finished model: its settings, category and noun."""
STABLE_FILES = (
    *(f"{part}/{name}" for part in ("unet", "vae") for name in ("config.json", "diffusion_pytorch_model*.safetensors")),
    *("text_encoder/config.json", "text_encoder/model*.safetensors", "scheduler/scheduler_config.json"),
    *("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"),
    *("tokenizer/special_tokens_map.json", "tokenizer/added_tokens.json"),
)
"""How the files of the parts of a Stable Diffusion are named."""
WEIGHT_FILES = (
    *("tiny.safetensors", "tiny.json", "lora.safetensors", "pytorch_lora_weights.safetensors"),
    *(*STABLE_FILES, INDEX),
)
"""How saved models name the files of their weights; nothing else in a model's folder is ever removed."""
