"""The prompt encoder of `tiny`: known words, and one learned token for the object.

The vocabulary is the words of `normalgen.settings.prompts`. Whatever noun the user gives becomes the one token
`<object>`, which customization teaches; so any noun works, in any language.
"""

import torch
from torch import Tensor, nn

from normalgen.errors import PresetError
from normalgen.features.efficientnet_lite import STATISTICS
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, PROMPT_SETS

__all__ = ["OBJECT", "WordEncoder", "vocabulary"]

OBJECT = "<object>"
PAD = "<pad>"


def vocabulary() -> list[str]:
    """Every word of the prompts in a fixed order, after the padding and the object token."""
    prompts = [CLASS_PROMPT, INSTANCE_PROMPT, *(prompt for prompts in PROMPT_SETS.values() for prompt in prompts)]
    words = {word for prompt in prompts for word in prompt.replace("{object}", "").split()}
    return [PAD, OBJECT, *sorted(words)]


class WordEncoder(nn.Module):
    """Sentences to (N, length, width) vectors: a learned vector a word plus a learned vector a position.

    `object` is the learned token's own parameter, so that customization can teach it and leave the words alone. `kind`
    turns what images of one kind have in common, the mean of their feature statistics (N, STATISTICS), into what their
    token differs by; the prior learned it on groups of images, and customization starts from it.
    """

    def __init__(self, width: int, length: int = 12) -> None:
        super().__init__()
        differing = nn.Linear(STATISTICS, width)
        nn.init.zeros_(differing.weight)
        nn.init.zeros_(differing.bias)
        self.kind = nn.Sequential(nn.LayerNorm(STATISTICS), differing)
        self.index = {word: i for i, word in enumerate(vocabulary())}
        self.length = length
        self.words = nn.Embedding(len(self.index), width)
        self.object = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(length, width))

    def forward(self, prompts: list[str], noun: str, kinds: Tensor | None = None) -> Tensor:
        """The vectors (N, length, width) of prompts with `{object}` open; `noun` only appears in messages.

        `kinds` (N, STATISTICS) replaces the object that was learned by objects of those kinds; rows of nan keep it.

        Raises:
            PresetError: a word that this encoder was not taught, or too many words.
        """
        ids = torch.tensor([self._ids(prompt, noun) for prompt in prompts], device=self.positions.device)
        is_object = (ids == self.index[OBJECT])[..., None]
        objects = self.object if kinds is None else self.object + self._differing(kinds)[:, None]
        vectors: Tensor = self.words(ids) + is_object * objects + self.positions
        return vectors

    def _differing(self, kinds: Tensor) -> Tensor:
        known = ~kinds.isnan().any(1, keepdim=True)
        differing: Tensor = self.kind(kinds.nan_to_num()) * known
        return differing

    @torch.no_grad()
    def start_from(self, statistics: Tensor) -> None:
        """Let the object begin as one like images with these feature statistics (n, STATISTICS)."""
        self.object.add_(self.kind(statistics.mean(0).to(self.object)))

    def _ids(self, prompt: str, noun: str) -> list[int]:
        words = prompt.replace("{object}", f" {OBJECT} ").lower().split()
        unknown = [word for word in words if word not in self.index]
        if unknown:
            known = " ".join(word for word in self.index if word not in (PAD, OBJECT))
            raise PresetError(f"the tiny preset does not know the word {unknown[0]!r}; it knows: {known}, and {noun!r}")
        if len(words) > self.length:
            raise PresetError(
                f"a prompt of the tiny preset has at most {self.length} words, got {len(words)}: {prompt!r}"
            )
        return [self.index[word] for word in words] + [self.index[PAD]] * (self.length - len(words))
