"""The data-set card of a pool."""

from typing import Any

__all__ = ["card"]


def card(settings: dict[str, Any]) -> str:
    """README.md of a pool.

    Its YAML has no `configs:` block: `load_dataset` would cache by folder name and could serve another pool's rows.
    """
    noun, category = settings["object"], settings["category"]
    return f"""---
pretty_name: {_quoted(f"{category}: generated normal images")}
task_categories:
- image-classification
tags:
- anomaly-detection
- synthetic
- normalgen
---

# {category}: generated normal images

Anomaly-free images of "{noun}", drawn by normalgen with a diffusion model customized on
{len(settings["references"])} reference photo(s). They are synthetic: use them to train or to fill the memory bank of an
anomaly detector, never as test images, and never as evidence of how a real part looks.

```python
from datasets import load_dataset

pool = load_dataset("path/to/this/folder", split="train")
```

| column | meaning |
|---|---|
| image | RGB, {settings["size"]} x {settings["size"]} pixels |
| category | `{category}` |
| label | 0: normal |
| prompt | the sentence the image was drawn under |
| seed, index | decide the image's noise |
| mode | `img2img`: an augmented reference, noised and denoised; `txt2img`: from noise; `augmented`: no diffusion |
| reference | the reference's name (img2img), else empty |
| strength | share of the noise schedule: {settings["strength"]:g} for img2img, 1 for txt2img, 0 for augmented |
| preset, model | preset's name; SHA-256 of the model's weights, empty if diffusion made none of the images |
| nearest_reference, nearest_pool | the reference, and the earlier image, that it is most like (if the gate was on) |

Images that the gate rejected, if it was on, are in `__normalgen__/` with its reasons; their numbers are missing here.

Every setting and the references' names and hashes are in `__normalgen__/run.json`. The licence of the reference photos
extends to what is drawn from them.
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
