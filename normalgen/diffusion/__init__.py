"""The diffusion model: one code path for sampling, restoring and training with the parts of any preset."""

__all__ = ["INDEX", "MODEL_FILE", "STABLE_FILES", "WEIGHT_FILES"]

INDEX = "model_index.json"
"""A folder with this file holds Stable Diffusion in diffusers' layout."""
MODEL_FILE = "preset.json"
"""A folder with this file holds a finished model; it stores settings, category and noun."""
STABLE_FILES = (
    *(f"{part}/{name}" for part in ("unet", "vae") for name in ("config.json", "diffusion_pytorch_model*.safetensors")),
    *("text_encoder/config.json", "text_encoder/model*.safetensors", "scheduler/scheduler_config.json"),
    *("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"),
    *("tokenizer/special_tokens_map.json", "tokenizer/added_tokens.json"),
)
"""Name patterns for the files of a Stable Diffusion."""
WEIGHT_FILES = (
    *("tiny.safetensors", "tiny.json", "lora.safetensors", "pytorch_lora_weights.safetensors"),
    *(*STABLE_FILES, INDEX),
)
"""Names of the files with the weights of saved models; nothing else in a model's folder is ever removed."""
