"""All settings of a run: named presets, and the prompts."""
