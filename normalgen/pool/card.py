"""The data-set card of a pool."""

from typing import Any

__all__ = ["card"]


def card(settings: dict[str, Any]) -> str:
    """Return the text of a pool's README.md.

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

Anomaly-free images of "{noun}", made by normalgen from {len(settings["references"])} reference photo(s).
{_photographs(settings)} {_shares(settings)} Use them to train or to fill the memory bank of an
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
| mode | `photo`: a photograph; {_repaired_mode(settings)}`augmented`: one changed without diffusion; \
`img2img`: that, noised and denoised; \
`txt2img`: from noise |
| reference, reference_sha256 | name and SHA-256 of the photo it is or was made from; empty for txt2img |
| strength | share of the noise schedule: {settings["pool.strength"]:g} for img2img, 1 for txt2img, 0 for the others |
{_repaired_column(settings)}\
| preset, model | preset's name; SHA-256 of the model's weights, empty if diffusion made none of the images |
| nearest_reference, nearest_pool | the reference, and the earlier image, that it is most like (if the gate was on) |

normalgen keeps its records beside this folder, in `NAME.normalgen/` where NAME is this folder's name: every setting and
the references' names and hashes in `run.json`, and what the gate rejected, if it was on, with its reasons. The numbers
of rejected images are missing here. The records are no part of the data set. The licence of the reference photos
extends to what is made from them.
"""


def _photographs(settings: dict[str, Any]) -> str:
    """Return a sentence on photographs in the pool, or one that there are none."""
    if not settings.get("photos"):
        return "They are synthetic."
    repaired = (
        " Others are photos in which it found a small unusual region, which was drawn again (mode `repaired`); outside "
        "this region they are photographs, too."
    )
    return (
        "The first are unlabeled photos that a screening kept (mode `photo`): photographs, which belong to whoever "
        f"took them.{repaired if settings.get('repaired') else ''} No person has confirmed that they are free of "
        "anomalies. The others are synthetic."
    )


def _repaired_mode(settings: dict[str, Any]) -> str:
    return "`repaired`: a photograph, drawn again in a region; " if settings.get("repaired") else ""


def _repaired_column(settings: dict[str, Any]) -> str:
    return "| repaired_share | which share of a `repaired` photograph is drawn |\n" if settings.get("repaired") else ""


def _shares(settings: dict[str, Any]) -> str:
    """Return a sentence on the shares of diffusion images and of augmented photos."""
    plain, restored = settings["pool.plain"], settings["pool.mix"]
    if plain == 1:
        subject = "All others" if settings.get("photos") else "All"
        return f"{subject} are augmented reference photos (mode `augmented`); no diffusion model made any of them."
    kinds = [
        (plain, "are augmented reference photos that no diffusion model touched (mode `augmented`)"),
        (
            (1 - plain) * restored,
            "are augmented reference photos that a diffusion model noised and restored (`img2img`)",
        ),
        ((1 - plain) * (1 - restored), "are drawn from noise by a diffusion model (`txt2img`)"),
    ]
    shares = "; ".join(f"{100 * share:.3g} % {what}" for share, what in kinds if share > 0)
    gate = " The gate judges them, so the shares among those that it keeps can differ." if settings["pool.gate"] else ""
    made = "other candidates" if settings.get("photos") else "candidates"
    return f"Of the {made}, {shares}.{gate} The column `mode` tells them apart."


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
