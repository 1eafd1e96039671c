"""Pools: anomaly-free images as a Hugging Face data set, made image by image and never half-written.

`images/00000.png ...`, `metadata.jsonl` (a row an image, written after it), `README.md` (the data-set card), and aside,
where no data loader looks, `__normalgen__/run.json` (every setting) and the contact sheet. On one machine the bytes
depend on settings, references and index alone, so a killed run that is started again, or a pool that grows, ends as if
made at once.
"""

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from normalgen.augment import augment_each
from normalgen.card import card
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.files import PARTIAL, write_whole
from normalgen.images import ImageItem, Images, to_pil
from normalgen.presets import Preset
from normalgen.prompts import fill, prompt_set
from normalgen.record import agree, differing, locked
from normalgen.references import References
from normalgen.seeds import generator
from normalgen.watch import Watch, silent

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["ASIDE", "METADATA", "Candidate", "Pool", "candidate", "check_pool", "generate_pool"]

METADATA, IMAGES = "metadata.jsonl", "images"
# Data loaders pass over __names__; beside a single image they would take a run.json for the data.
ASIDE = "__normalgen__"
RUN = f"{ASIDE}/run.json"
_DECIDING = ["size", "sampling_steps", "guidance", "augment", "prompts", "mix", "strength", "group"]


@dataclass(frozen=True)
class Candidate:
    """How image `index` of a pool is made: decided by the settings alone, before anything is drawn.

    Attributes:
        index: its place in the pool.
        mode: "img2img" restores an augmented reference, "txt2img" draws from noise.
        prompt: with `{object}` open.
        reference: place of the reference among the references; None for txt2img.
    """

    index: int
    mode: str
    prompt: str
    reference: int | None


def candidate(index: int, preset: Preset, references: int) -> Candidate:
    """The plan of image `index`: modes interleaved in the share `preset.mix`, prompts and references in turn."""
    before, after = int(index * preset.mix + 1e-9), int((index + 1) * preset.mix + 1e-9)
    prompts = prompt_set(preset.prompts)
    if after > before:
        return Candidate(index, "img2img", prompts[before // references % len(prompts)], before % references)
    return Candidate(index, "txt2img", prompts[(index - before) % len(prompts)], None)


@dataclass(frozen=True)
class Pool:
    """A folder of generated normal images.

    Attributes:
        folder: where it is.
        rows: the metadata of the kept images, in order of index.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, folder: Path) -> "Pool":
        """The pool in `folder`; reads no image.

        Raises:
            DataError: no pool there, or an image that its metadata names is missing.
        """
        if not (folder / METADATA).is_file():
            raise DataError(f"{folder} holds no pool ({METADATA}); make one with: normalgen generate --out {folder}")
        rows, _ = _whole_rows(folder / METADATA)
        missing = [row["file_name"] for row in rows if not (folder / row["file_name"]).is_file()]
        if missing:
            raise DataError(f"{folder / missing[0]} is missing; the same generate command makes it again")
        return cls(folder, tuple(rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Images:
        """The images, lazily."""
        files = [self.folder / row["file_name"] for row in self.rows]
        return Images([ImageItem(file.name, str(file), file.read_bytes) for file in files])

    @property
    def dataset(self) -> "Dataset":
        """The pool as `datasets.load_dataset(folder)["train"]` gives it, but never from a cache."""
        import datasets

        columns = [{"image": str(self.folder / row["file_name"])} | row for row in self.rows]
        table = datasets.Dataset.from_list([{k: v for k, v in row.items() if k != "file_name"} for row in columns])
        return table.cast_column("image", datasets.Image())


def generate_pool(
    model: NormalModel,
    references: References,
    n: int,
    folder: Path,
    *,
    seed: int = 0,
    watch: Watch = silent,
    preview: Callable[[], None] = lambda: None,
    overwrite: bool = False,
) -> Pool:
    """Make images 0 to n - 1 of a pool in `folder`; those already there stay as they are.

    Args:
        model: customized on these references' category; its preset says mix, strength, prompts and augmentation.
        references: the starting points of img2img.
        n: how many images the pool shall hold, at least 1.
        folder: of this pool alone.
        seed: image `i` draws from (seed, i).
        watch: told of the stage "generate".
        preview: called after each group of images.
        overwrite: a pool of other settings in `folder` gives way.

    Raises:
        DataError: n below 1, a model of another category, a folder of other settings or in use.
    """
    if n < 1:
        raise DataError(f"n must be at least 1, got {n}")
    if model.category != references.category:
        raise DataError(
            f"the model was customized on {model.category!r}, the references are {references.category!r}; "
            "name the model of this category, or none to make one"
        )
    preset = model.preset
    settings = _settings(references, preset, seed) | {"model": model.digest}
    with locked(folder):
        if overwrite and differing(folder / RUN, settings):
            _clear(folder)
        agree(folder / RUN, _record(settings, model, references))
        done = _resume(folder)
        write_whole(folder / "README.md", lambda path: _write_text(path, card(settings)))
        watch("generate", min(done, n), n)
        sources = references.images.pixels(preset.size)
        first = done - done % preset.group if done < n else n
        for start in range(first, n, preset.group):
            group = [candidate(i, preset, len(sources)) for i in range(start, start + preset.group)]
            images = _draw(model, group, sources, preset, seed)
            for each, image in zip(group, images, strict=True):
                if done <= each.index < n:
                    _write_image(folder, each, image, settings, references)
            watch("generate", min(start + preset.group, n), n)
            preview()
        return Pool.load(folder)


def _clear(folder: Path) -> None:
    for name in (METADATA, "README.md"):
        (folder / name).unlink(missing_ok=True)
    for name in (IMAGES, ASIDE):
        shutil.rmtree(folder / name, ignore_errors=True)


def check_pool(folder: Path, references: References, preset: Preset, seed: int) -> None:
    """Before long work: see that `folder` is free, or a pool of the same settings.

    Raises:
        DataError: it is neither.
    """
    agree(folder / RUN, {"settings": _settings(references, preset, seed)}, look=True)


def _settings(references: References, preset: Preset, seed: int) -> dict[str, Any]:
    return preset.only(_DECIDING) | references.identity() | {"seed": seed}


def _record(settings: dict[str, Any], model: NormalModel, references: References) -> dict[str, Any]:
    packages = ("normalgen", "torch", "diffusers", "datasets", "pillow")
    return {
        "settings": settings,
        "preset": model.preset.settings(),
        "device": model.device,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "references": references.manifest(),
    }


def _draw(model: NormalModel, group: list[Candidate], sources: Tensor, preset: Preset, seed: int) -> Tensor:
    """The images (group, 3, S, S) of a whole group, whichever of them are wanted: the batch is part of the bytes."""
    drawn: dict[int, Tensor] = {}
    for mode in ("img2img", "txt2img"):
        some = [each for each in group if each.mode == mode]
        if some:
            drawn |= zip(
                [each.index for each in some], _draw_mode(model, mode, some, sources, preset, seed), strict=True
            )
    return torch.stack([drawn[each.index] for each in group])


def _draw_mode(
    model: NormalModel, mode: str, some: list[Candidate], sources: Tensor, preset: Preset, seed: int
) -> Tensor:
    indices = [each.index for each in some]
    prompts = [each.prompt for each in some]
    if mode == "txt2img":
        return model.sample(indices, prompts=prompts, seed=seed)
    draws = [generator("augment", seed, index) for index in indices]
    starts = augment_each(sources[[each.reference or 0 for each in some]].float() / 255, preset.augment, draws)
    return model.restore(starts, prompts=prompts, strength=preset.strength, seed=seed, indices=indices)


def _write_image(
    folder: Path, each: Candidate, image: Tensor, settings: dict[str, Any], references: References
) -> None:
    name = f"{IMAGES}/{each.index:05d}.png"
    write_whole(folder / name, lambda path: to_pil(image).save(path, format="png"))
    row = {
        "file_name": name,
        "category": settings["category"],
        "label": 0,
        "prompt": fill(each.prompt, settings["object"]),
        "seed": settings["seed"],
        "index": each.index,
        "mode": each.mode,
        "reference": "" if each.reference is None else references.images.names[each.reference],
        "strength": settings["strength"] if each.mode == "img2img" else 1.0,
        "preset": settings["preset"],
        "model": settings["model"],
    }
    with (folder / METADATA).open("ab") as file:
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _whole_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows that were written whole, and how many bytes they fill."""
    rows, size = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not {"file_name", "index", "mode"} <= set(row):
            raise DataError(f"{path} has rows that this command did not write; choose another folder")
        rows.append(row)
        size += len(line)
    return rows, size


def _resume(folder: Path) -> int:
    """How many images are there, from 0 on without a gap; what a killed run left unfinished is cut off."""
    for left in folder.rglob(f".*{PARTIAL}"):
        left.unlink()
    path = folder / METADATA
    if not path.is_file():
        return 0
    rows, _ = _whole_rows(path)
    whole = 0
    for row in rows:
        if row["index"] != whole or not (folder / row["file_name"]).is_file():
            break
        whole += 1
    size = sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in rows[:whole])
    with path.open("rb+") as file:
        file.truncate(size)
    return whole
