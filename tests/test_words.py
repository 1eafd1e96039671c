from copy import deepcopy

import pytest
import torch

from normalgen.diffusion.words import WordEncoder, vocabulary
from normalgen.errors import PresetError
from normalgen.prompts import CLASS_PROMPT, INSTANCE_PROMPT, PROMPT_SETS, fill, prompt_set

ENCODER = WordEncoder(8)


def test_every_prompt_is_known_with_any_noun() -> None:
    prompts = [prompt for prompts in PROMPT_SETS.values() for prompt in prompts]
    for noun in ("solar cell", "Häkelnadel", "part no. 5"):
        assert ENCODER(prompts, noun).shape == (len(prompts), 12, 8)


def test_the_noun_is_one_token_whatever_it_is() -> None:
    vectors = [ENCODER(["a photo of normal {object}"], noun) for noun in ("nut", "solar cell", "normal", "photo", "o")]
    assert all(torch.equal(vectors[0], other) for other in vectors)


def test_only_the_object_moves_when_its_token_is_taught() -> None:
    encoder = deepcopy(ENCODER)
    before = encoder(["a photo of {object}"], "nut")
    with torch.no_grad():
        encoder.object.add_(1)
    changed = (encoder(["a photo of {object}"], "nut") - before).abs().sum(-1)[0]
    assert changed.nonzero().flatten().tolist() == [3]


def test_an_unknown_word_is_named_with_the_known_ones() -> None:
    with pytest.raises(PresetError, match=r"'purple'.*blurry"):
        ENCODER(["a purple photo of {object}"], "nut")


def test_too_many_words_are_refused() -> None:
    with pytest.raises(PresetError, match="at most 12"):
        ENCODER(["photo " * 13], "nut")


def test_the_vocabulary_has_no_word_twice() -> None:
    assert len(set(vocabulary())) == len(vocabulary())


def test_prompt_sets_have_the_stated_sizes_and_no_duplicates() -> None:
    assert all(len(set(prompts)) == count for count, prompts in PROMPT_SETS.items())
    assert prompt_set(1) == (INSTANCE_PROMPT,)
    assert "normal" not in CLASS_PROMPT
    assert fill(INSTANCE_PROMPT, "solar cell") == "a photo of normal solar cell"
    with pytest.raises(PresetError, match="1, 3, 5, 10"):
        prompt_set(4)
