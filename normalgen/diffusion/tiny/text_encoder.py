"""The prompt encoder of `tiny`: known words, and one learned token for the object.

The vocabulary is the words of `normalgen.settings.prompts`. The user's noun becomes the token `<object>`, which
customization trains; so any noun works, in any language.
"""

import torch
from torch import Tensor, nn

from normalgen.errors import PresetError
from normalgen.features.embedded_cnn import STATISTICS
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, PROMPT_SETS

__all__ = ["OBJECT", "WordEncoder", "vocabulary"]

OBJECT = "<object>"
PAD = "<pad>"


def vocabulary() -> list[str]:
    """Return the padding token, the object token and every word of the prompts, in a fixed order."""
    prompts = [CLASS_PROMPT, INSTANCE_PROMPT, *(prompt for prompts in PROMPT_SETS.values() for prompt in prompts)]
    words = {word for prompt in prompts for word in prompt.replace("{object}", "").split()}
    return [PAD, OBJECT, *sorted(words)]


class WordEncoder(nn.Module):
    """Turns sentences into (N, length, width) vectors: a learned vector per word plus a learned vector per position.

    `object` is a separate parameter for the learned token, so customization can train it and leave the words unchanged.
    `kind` turns the mean feature statistics (N, STATISTICS) of images of one kind into an offset to this token. The
    prior learned it on groups of images, and customization starts from it.
    """

    def __init__(self, width: int, length: int = 12) -> None:
        super().__init__()
        offset = nn.Linear(STATISTICS, width)
        nn.init.zeros_(offset.weight)
        nn.init.zeros_(offset.bias)
        self.kind = nn.Sequential(nn.LayerNorm(STATISTICS), offset)
        self.index = {word: i for i, word in enumerate(vocabulary())}
        self.length = length
        self.words = nn.Embedding(len(self.index), width)
        self.object = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(length, width))

    def forward(self, prompts: list[str], noun: str, kinds: Tensor | None = None) -> Tensor:
        """Return the vectors (N, length, width) of prompts with `{object}`; `noun` appears only in messages.

        `kinds` (N, STATISTICS) replaces the learned object by objects of these kinds; rows of nan keep it.

        Raises:
            PresetError: a word is unknown, or a prompt has too many words.
        """
        ids = torch.tensor([self._ids(prompt, noun) for prompt in prompts], device=self.positions.device)
        is_object = (ids == self.index[OBJECT])[..., None]
        objects = self.object if kinds is None else self.object + self._offset(kinds)[:, None]
        vectors: Tensor = self.words(ids) + is_object * objects + self.positions
        return vectors

    def _offset(self, kinds: Tensor) -> Tensor:
        known = ~kinds.isnan().any(1, keepdim=True)
        offset: Tensor = self.kind(kinds.nan_to_num()) * known
        return offset

    @torch.no_grad()
    def start_from(self, statistics: Tensor) -> None:
        """Initialize the object from images with these feature statistics (n, STATISTICS)."""
        self.object.add_(self.kind(statistics.mean(0).to(self.object)))

    def _ids(self, prompt: str, noun: str) -> list[int]:
        words = prompt.replace("{object}", f" {OBJECT} ").lower().split()
        unknown = [word for word in words if word not in self.index]
        if unknown:
            known = " ".join(word for word in self.index if word not in (PAD, OBJECT))
            raise PresetError(f"the tiny preset does not know the word {unknown[0]!r}; use: {known}, and {noun!r}")
        if len(words) > self.length:
            raise PresetError(
                f"a tiny preset's prompt may have at most {self.length} words, got {len(words)}; shorten {prompt!r}"
            )
        return [self.index[word] for word in words] + [self.index[PAD]] * (self.length - len(words))
