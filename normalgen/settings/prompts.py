"""Prompts as data: the state words and templates of One-to-Normal (Li et al., NeurIPS 2024, Figure 5).

`{object}` stands for the noun. The training sentence says "normal". Figure 5's sentences do not, but the paper's
examples do, and so do ours.
"""

from normalgen.errors import PresetError

__all__ = ["CLASS_PROMPT", "INSTANCE_PROMPT", "PROMPT_SETS", "TEMPLATES", "fill", "prompt_set"]

INSTANCE_PROMPT = "a photo of normal {object}"
CLASS_PROMPT = "a photo of {object}"

STATES = ("without flaw", "without defect", "without damage")

TEMPLATES = (
    "a photo of small {state}",
    "a photo of large {state}",
    "a bright photo of {state}",
    "a dark photo of {state}",
    "a blurry photo of {state}",
    "a bad photo of {state}",
    "a good photo of {state}",
    "a cropped photo of {state}",
    "a close-up photo of {state}",
    "a low resolution photo of {state}",
)

_PLAIN = tuple(f"a photo of normal {{object}} {state}" for state in STATES)
_TEMPLATED = tuple(template.format(state=f"normal {{object}} {STATES[0]}") for template in TEMPLATES)

PROMPT_SETS: dict[int, tuple[str, ...]] = {
    1: (INSTANCE_PROMPT,),
    3: _PLAIN,
    5: (*_PLAIN, _TEMPLATED[2], _TEMPLATED[3]),
    10: _TEMPLATED,
}


def prompt_set(count: int) -> tuple[str, ...]:
    """Return the prompts of set 1, 3, 5 or 10, with `{object}` not yet filled in.

    Raises:
        PresetError: `count` is another number.
    """
    if count not in PROMPT_SETS:
        raise PresetError(f"prompts must be one of {', '.join(map(str, PROMPT_SETS))}, got {count}")
    return PROMPT_SETS[count]


def fill(prompt: str, noun: str) -> str:
    """Return the prompt with its noun, such as "a photo of normal solar cell"."""
    return prompt.replace("{object}", noun)
