"""The text branch: WinCLIP's sentences, and one linear map per level from patch vectors to the sentences' space.

The sentences are from WinCLIP (Jeong et al. 2023), the maps from APRIL-GAN (Chen et al. 2023); One-to-Normal
(Li et al., NeurIPS 2024, Eq. 6) leaves the maps open.
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
    """Return every state in every template: 154 sentences from `NORMAL`, 88 from `ANOMALOUS`."""
    return [template.replace("{state}", state).replace("{object}", noun) for state in states for template in TEMPLATES]


def text_vectors(side: TextSide, noun: str) -> Tensor:
    """Return the unit vectors (2, D) of the normal (row 0) and anomalous (row 1) sentences.

    Each sentence's vector is scaled to length 1, then their mean is too (as in the code of InCTRL's authors).

    Raises:
        PresetError: the noun is too long for a sentence to fit.
    """
    means = [normalize(side.encode(sentences(states, noun)), dim=1).mean(0) for states in (NORMAL, ANOMALOUS)]
    return normalize(torch.stack(means), dim=1)


def open_text(file: Path, network: Features, noun: str) -> tuple["TextMaps", Tensor]:
    """Return the text maps in `file`, and the vectors (2, D) of the normal and anomalous sentences.

    Raises:
        MissingWeights: the file does not exist, or holds no text maps.
        PresetError: the features have no text side, or the maps are for other features.
    """
    if network.text is None:
        raise PresetError(f"the features {network.name!r} have no text side; use clip, or branches p,n")
    return TextMaps.load(file, network), text_vectors(network.text, noun)


class TextMaps(nn.Module):
    """One linear map with bias per level, from patch vectors to the sentences' space (APRIL-GAN; One-to-Normal, Eq. 6).

    Args:
        widths: C of each level.
        width: D of the sentences' vectors.
        features: name of the features.
        size: width and height of the features' input, in pixels.
        seed: seed of the initial weights.
        learnt_from: the first 16 digits of the SHA-256 of each training image.
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
            self.levels = nn.ModuleList(nn.Linear(channels, width) for channels in widths)

    def logits(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """Return 100 times the cosines to the sentences, (N, 2, rows, columns) per level.

        Args:
            tokens: (N, rows, columns, C) per level, on any device.
            vectors: from `text_vectors`, (2, D) for all images or (N, 2, D), on the maps' device.
        """
        tokens = [level.to(vectors.device) for level in tokens]
        wide = vectors.expand(len(tokens[0]), *vectors.shape[-2:])
        mapped = [normalize(layer(level), dim=-1) for layer, level in zip(self.levels, tokens, strict=True)]
        return [SCALE * torch.einsum("nrcd,nkd->nkrc", level, wide) for level in mapped]

    def seen(self, images: Images) -> list[str]:
        """Return the names of the images that the maps were trained on: their scores mean nothing."""
        pairs = zip(images.names, images.hashes(), strict=True)
        return [name for name, digest in pairs if digest[:DIGITS] in self.learnt_from]

    @torch.no_grad()
    def scores(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """Return how anomalous each patch is, (N, rows, columns) in [0, 1] per level: softmax(`logits`)[:, 1]."""
        return [level.softmax(1)[:, 1] for level in self.logits(tokens, vectors)]

    def save(self, path: Path) -> None:
        """Write one safetensors file, with the name of the features and the digests of the training images."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        about = {"normalgen": "text maps", "features": self.features, "size": str(self.size)}
        about |= {"learnt_from": " ".join(sorted(self.learnt_from)), "digest": _digest(state)}
        write_whole(path, lambda partial: partial.write_bytes(save(state, about)))

    @classmethod
    def load(cls, path: Path, features: Features) -> "TextMaps":
        """Return the maps in a file, on the device of the features' text side.

        Raises:
            MissingWeights: the file does not exist, or holds no text maps.
            PresetError: the maps were trained for other features, or another size.
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
                f"at {features.size} px; use those features, or train new maps: normalgen train-text"
            )
        try:
            shapes = [state[f"levels.{level}.weight"].shape for level in range(len(state) // 2)]
            widths, seen = [shape[1] for shape in shapes], about["learnt_from"].split()
            maps = cls(widths, shapes[0][0], features=features.name, size=features.size, learnt_from=seen)
            maps.load_state_dict(state)
        except (LookupError, RuntimeError) as error:
            raise MissingWeights(f"{path} holds incomplete text maps; {again}") from error
        device = features.text.encode(["part"]).device if features.text is not None else torch.device("cpu")
        return maps.eval().requires_grad_(False).to(device)


def _digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name."""
    hashed = hashlib.sha256()
    for name, value in sorted(state.items()):
        hashed.update(name.encode() + value.contiguous().numpy().tobytes())
    return hashed.hexdigest()
