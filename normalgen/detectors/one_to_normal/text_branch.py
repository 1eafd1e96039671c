"""The text branch: WinCLIP's sentences, and a linear map a level from patch vectors to where the sentences lie.

Sentences as in WinCLIP (Jeong et al. 2023); maps as in APRIL-GAN (Chen et al. 2023), which One-to-Normal
(Li et al., NeurIPS 2024, Eq. 6) leaves open.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import normalize

from normalgen.errors import MissingWeights, PresetError
from normalgen.features.contract import Features, TextSide
from normalgen.features.weights import refuse_not_finite
from normalgen.images.images import Images
from normalgen.io.atomic import write_whole

__all__ = [
    "ANOMALOUS",
    "NORMAL",
    "TEMPLATES",
    "TextMaps",
    "open_text",
    "sentences",
    "text_vectors",
]

NORMAL = (
    "{object}",
    "flawless {object}",
    "perfect {object}",
    "unblemished {object}",
    "{object} without flaw",
    "{object} without defect",
    "{object} without damage",
)
ANOMALOUS = ("damaged {object}", "{object} with flaw", "{object} with defect", "{object} with damage")
_KINDS = (
    "a cropped photo of {article} {state}.",
    "a close-up photo of {article} {state}.",
    "a bright photo of {article} {state}.",
    "a dark photo of {article} {state}.",
    "a jpeg corrupted photo of {article} {state}.",
    "a blurry photo of {article} {state}.",
    "a photo of {article} {state}.",
    "a photo of {article} small {state}.",
    "a photo of {article} large {state}.",
    "a photo of {article} {state} for visual inspection.",
    "a photo of {article} {state} for anomaly detection.",
)
TEMPLATES = tuple(kind.replace("{article}", article) for kind in _KINDS for article in ("a", "the"))
SCALE = 100.0
DIGITS = 16


def sentences(states: Sequence[str], noun: str) -> list[str]:
    """Every state in every template: 154 normal ones of `NORMAL`, 88 anomalous ones of `ANOMALOUS`."""
    return [template.replace("{state}", state).replace("{object}", noun) for state in states for template in TEMPLATES]


def text_vectors(side: TextSide, noun: str) -> Tensor:
    """What normal and anomalous objects are called, (2, D), of unit length: row 0 normal, row 1 anomalous.

    Each sentence's vector is scaled to length 1, then their mean is (as in the code of InCTRL's authors).

    Raises:
        PresetError: the noun is so long that a sentence does not fit.
    """
    means = [normalize(side.encode(sentences(states, noun)), dim=1).mean(0) for states in (NORMAL, ANOMALOUS)]
    return normalize(torch.stack(means), dim=1)


def open_text(file: Path, network: Features, noun: str) -> tuple["TextMaps", Tensor]:
    """The text maps in `file`, and the vectors (2, D) of normal and anomalous objects.

    Raises:
        MissingWeights: the file is not there, or holds no text maps.
        PresetError: the features have no text side, or the maps are for others.
    """
    if network.text is None:
        raise PresetError(f"the features {network.name!r} have no text side; use clip, or branches p,n")
    return TextMaps.load(file, network), text_vectors(network.text, noun)


class TextMaps(nn.Module):
    """One linear map with bias a level, from patch vectors to the sentences' space (APRIL-GAN; One-to-Normal, Eq. 6).

    Args:
        widths: C of each level.
        width: D of the sentences' vectors.
        features: name of the features they are for.
        size: pixels that those look at.
        seed: of the weights before training.
        learnt_from: the first 16 digits of the SHA-256 of each image that they were trained on.
    """

    def __init__(
        self,
        widths: Sequence[int],
        width: int,
        *,
        features: str,
        size: int,
        seed: int = 0,
        learnt_from: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.size = size
        self.learnt_from = frozenset(learnt_from)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.levels = nn.ModuleList(nn.Linear(each, width) for each in widths)

    def logits(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """100 times the cosines to the sentences, (N, 2, rows, columns) a level.

        Args:
            tokens: (N, rows, columns, C) a level, on any device.
            vectors: of `text_vectors`, (2, D) for all images or (N, 2, D), on the maps' device.
        """
        tokens = [each.to(vectors.device) for each in tokens]
        wide = vectors.expand(len(tokens[0]), *vectors.shape[-2:])
        mapped = [normalize(level(each), dim=-1) for level, each in zip(self.levels, tokens, strict=True)]
        return [SCALE * torch.einsum("nrcd,nkd->nkrc", each, wide) for each in mapped]

    def seen(self, images: Images) -> list[str]:
        """The names of the images that the maps were trained on: how well these are told says nothing."""
        pairs = zip(images.names, images.hashes(), strict=True)
        return [name for name, digest in pairs if digest[:DIGITS] in self.learnt_from]

    @torch.no_grad()
    def scores(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """How anomalous each patch is, (N, rows, columns) in [0, 1] a level: softmax of `logits`, its second entry."""
        return [level.softmax(1)[:, 1] for level in self.logits(tokens, vectors)]

    def save(self, path: Path) -> None:
        """Write one safetensors file that says which features it is for, and which images it was learnt from."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        about = {"normalgen": "text maps", "features": self.features, "size": str(self.size)}
        about |= {"learnt_from": " ".join(sorted(self.learnt_from)), "digest": _digest(state)}
        write_whole(path, lambda partial: partial.write_bytes(save(state, about)))

    @classmethod
    def load(cls, path: Path, features: Features) -> "TextMaps":
        """The maps of a file, where the features' text side is.

        Raises:
            MissingWeights: no such file, or not of text maps.
            PresetError: they were trained for other features, or another size.
        """
        again = "make them again: normalgen train-text"
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (OSError, ValueError, SafetensorError) as error:
            raise MissingWeights(f"{path} cannot be read as text maps ({error}); {again}") from error
        if about.get("normalgen") != "text maps" or not {"features", "size", "learnt_from"} <= about.keys():
            raise MissingWeights(f"{path} does not hold text maps; {again}")
        if about.get("digest", _digest(state)) != _digest(state):
            raise MissingWeights(f"{path} is damaged: its SHA-256 differs; {again}")
        refuse_not_finite(state, path, again)
        if (about["features"], about["size"]) != (features.name, str(features.size)):
            raise PresetError(
                f"{path} was trained for features {about['features']} at {about['size']} px, these are {features.name} "
                f"at {features.size} px; use those, or train others: normalgen train-text"
            )
        try:
            shapes = [state[f"levels.{level}.weight"].shape for level in range(len(state) // 2)]
            widths, seen = [shape[1] for shape in shapes], about["learnt_from"].split()
            maps = cls(widths, shapes[0][0], features=features.name, size=features.size, learnt_from=seen)
            maps.load_state_dict(state)
        except (LookupError, RuntimeError) as error:
            raise MissingWeights(f"{path} does not hold whole text maps; {again}") from error
        where = features.text.encode(["part"]).device if features.text is not None else torch.device("cpu")
        return maps.eval().requires_grad_(False).to(where)


def _digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors by name."""
    summed = hashlib.sha256()
    for name, value in sorted(state.items()):
        summed.update(name.encode() + value.contiguous().numpy().tobytes())
    return summed.hexdigest()
