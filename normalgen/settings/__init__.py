"""Every setting of a run: presets by name, and the prompts."""
