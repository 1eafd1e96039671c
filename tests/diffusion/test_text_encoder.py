from copy import deepcopy

import pytest
import torch

from normalgen.diffusion.tiny.text_encoder import WordEncoder, vocabulary
from normalgen.errors import PresetError
from normalgen.features.embedded_cnn import STATISTICS
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, PROMPT_SETS, fill, prompt_set

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


def taught() -> WordEncoder:
    """An encoder whose `kind` says something; untaught it says nothing."""
    encoder, draw = deepcopy(ENCODER), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in ("kind.1.weight", "kind.1.bias", "object"):
            encoder.get_parameter(name).normal_(generator=draw)
    return encoder


def statistics(count: int) -> torch.Tensor:
    return torch.rand(count, STATISTICS, generator=torch.Generator().manual_seed(1)) * 5


PROMPTS = ["a photo of {object}", "a photo of normal {object}"]


def test_a_kind_moves_the_object_alone_by_what_its_statistics_say() -> None:
    encoder, kinds = taught(), statistics(2)
    scaled = (kinds - kinds.mean(1, keepdim=True)) / (kinds.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = scaled @ encoder.get_parameter("kind.1.weight").T + encoder.get_parameter("kind.1.bias")
    moved = encoder(PROMPTS, "nut", kinds) - encoder(PROMPTS, "nut")
    assert torch.allclose(moved[[0, 1], [3, 4]], expected, atol=1e-5)
    assert moved.abs().sum(-1).nonzero().tolist() == [[0, 3], [1, 4]]


def test_a_row_of_nan_in_kinds_equals_no_kinds() -> None:
    encoder, kinds = taught(), statistics(2)
    kinds[1] = torch.nan
    found, plain = encoder(PROMPTS, "nut", kinds), encoder(PROMPTS, "nut")
    assert torch.equal(found[1], plain[1])
    assert not torch.allclose(found[0], plain[0])


def test_rows_of_nan_give_gradients_without_nan() -> None:
    encoder = taught()
    encoder(PROMPTS, "nut", torch.full((2, STATISTICS), torch.nan)).sum().backward()
    gradients = [each.grad for each in encoder.parameters() if each.grad is not None]
    assert len(gradients) > 3
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_object_starts_from_what_its_kind_says() -> None:
    encoder, known = taught(), statistics(5)
    expected = encoder(PROMPTS, "nut", known.mean(0).expand(2, -1))
    before = encoder(PROMPTS, "nut")
    encoder.start_from(known)
    assert torch.allclose(encoder(PROMPTS, "nut"), expected, atol=1e-5)
    assert not torch.allclose(before, expected, atol=0.1)


def test_an_untaught_kind_says_nothing() -> None:
    assert torch.equal(ENCODER(PROMPTS, "nut", statistics(2)), ENCODER(PROMPTS, "nut"))


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
