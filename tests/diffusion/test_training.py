from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from normalgen.diffusion.codec import PixelCodec
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.losses import FeatureError
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.training import Batch, Noising, TrainingPlan, denoising_loss, train
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset, change
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT

PLAN = TrainingPlan(steps=6, learning_rate=1e-3, ema=0.9, seed=0, checkpoint_every=2)


def fresh(small: Preset, method: str = "full") -> NormalModel:
    settings = change(small, train={"method": method, "rank": 2})
    return NormalModel(open_parts(small.weights).prepare_training(settings), settings, category="", noun="part")


def batch_at(step: int) -> Batch:
    images = torch.rand(2, 3, 32, 32, generator=generator("test", step)) * 0.2 + 0.6
    return Batch(images, [INSTANCE_PROMPT, CLASS_PROMPT], torch.tensor([1.0, 0.5]))


def noising(levels: tuple[int, int], step: int = 0) -> Noising:
    clean = PixelCodec(8, 16).encode(batch_at(step).images)
    noise = torch.randn(2, 192, 4, 4, generator=generator("noise"))
    return Noising(clean, noise, torch.tensor(levels), [(3, 5), (0, 7)])


def weights(model: NormalModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.parts.trainable().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    pass


def killer(at: int) -> Callable[[int, float], None]:
    def kill(step: int, loss: float) -> None:
        if step == at:
            raise Killed

    return kill


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_killed_training_ends_with_the_same_weights(small: Preset, tmp_path: Path, at: int) -> None:
    whole, resumed = fresh(small), fresh(small)
    train(whole, batch_at, PLAN)
    with pytest.raises(Killed):
        train(fresh(small), batch_at, PLAN, checkpoint=tmp_path / "c.pt", after_step=killer(at))
    train(resumed, batch_at, PLAN, checkpoint=tmp_path / "c.pt")
    assert same(weights(whole), weights(resumed))


def test_a_checkpoint_of_another_plan_is_not_taken_up(small: Preset, tmp_path: Path) -> None:
    other = TrainingPlan(steps=6, learning_rate=1e-2, ema=0.9, seed=0, checkpoint_every=2)
    train(fresh(small), batch_at, other, checkpoint=tmp_path / "c.pt")
    restarted, plain = fresh(small), fresh(small)
    train(restarted, batch_at, PLAN, checkpoint=tmp_path / "c.pt")
    train(plain, batch_at, PLAN)
    assert same(weights(restarted), weights(plain))


def test_the_loss_is_the_weighted_error_written_out(small: Preset) -> None:
    model, batch, drawn = fresh(small), batch_at(0), noising((100, 700))
    codec, schedule = model.parts.codec, model.parts.schedule
    clean, context = codec.encode(batch.images), model.encode_prompts(batch.prompts)
    output = model.predict(schedule.add_noise(clean, drawn.noise, drawn.t), drawn.t, context, drawn.offsets)
    sigma2 = 1 - schedule.alphas_cumprod[drawn.t]
    errors = [((output[i] - clean[i]) ** 2).mean() / sigma2[i] for i in range(2)]
    expected = (1.0 * errors[0] + 0.5 * errors[1]).float()
    assert torch.allclose(denoising_loss(model, batch, drawn), expected, rtol=1e-4)


def test_features_add_their_error_with_the_root_of_the_weight(small: Preset) -> None:
    model, batch, drawn = fresh(small), batch_at(0), noising((100, 700))
    codec, schedule, features = model.parts.codec, model.parts.schedule, FeatureError(0.3, "cpu")
    clean, context = codec.encode(batch.images), model.encode_prompts(batch.prompts)
    noisy = schedule.add_noise(clean, drawn.noise, drawn.t)
    guess = codec.decode(model.predict(noisy, drawn.t, context, drawn.offsets))
    added = denoising_loss(model, batch, drawn, features) - denoising_loss(model, batch, drawn)
    expected = (features(guess, batch.images) * schedule.weight(drawn.t).sqrt() * batch.weights).sum()
    assert torch.allclose(added, expected, rtol=1e-3)


def test_training_lowers_the_loss(small: Preset) -> None:
    model, levels = fresh(small), [(50, 150), (250, 350), (450, 550), (650, 750), (850, 950)]

    @torch.no_grad()
    def losses() -> torch.Tensor:
        return torch.stack([denoising_loss(model, batch_at(1000), noising(each, 1000)) for each in levels])

    before = losses()
    train(model, batch_at, TrainingPlan(steps=60, learning_rate=3e-3, ema=0.9, seed=0))
    assert (losses() / before).mean() < 0.7
    assert (losses() < before).all()


def test_the_loss_of_a_step_is_linear_in_the_feature_weight(small: Preset) -> None:
    losses: list[float] = []
    for weight in (0.0, 1.0, 2.0):
        plan = replace(PLAN, steps=1, feature_weight=weight)
        train(fresh(small), batch_at, plan, after_step=lambda step, loss: losses.append(loss))
    assert losses[1] - losses[0] > 0.01
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def levels_seen(small: Preset, focus: float) -> torch.Tensor:
    model, seen = fresh(small), []
    model.parts.denoiser.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    train(model, batch_at, replace(PLAN, steps=12, focus=focus))
    return torch.cat(seen) / len(model.parts.schedule)


def test_focus_draws_lower_noise_levels_as_its_power(small: Preset) -> None:
    even, focused = levels_seen(small, 1.0), levels_seen(small, 3.0)
    assert torch.allclose(focused, even**3, atol=0.004)
    assert even.mean() > 0.4
    assert focused.mean() < 0.35


def test_kinds_of_nan_train_as_no_kinds_and_others_do_not(small: Preset) -> None:
    model, batch, drawn = fresh(small), batch_at(0), noising((500, 700))
    with torch.no_grad():
        model.parts.prompt_encoder.get_parameter("kind.1.bias").fill_(3)
    unknown, known = torch.full((2, 352), torch.nan), torch.ones(2, 352)
    plain, unsaid, other = (denoising_loss(model, replace(batch, kinds=each), drawn) for each in (None, unknown, known))
    assert torch.equal(plain, unsaid)
    assert not torch.allclose(plain, other, rtol=1e-4)


def test_the_model_ends_with_the_average_of_its_weights(small: Preset) -> None:
    name = "denoiser.fine.leave.bias"
    model, seen = fresh(small), []
    average = weights(model)[name]
    train(model, batch_at, PLAN, after_step=lambda step, loss: seen.append(weights(model)[name]))
    for step, value in enumerate(seen):
        decay = min(PLAN.ema, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
    assert torch.allclose(weights(model)[name], average, atol=1e-6)
    assert not torch.allclose(weights(model)[name], seen[-1], atol=1e-6)


def test_full_training_leaves_the_known_words_alone(small: Preset) -> None:
    model = fresh(small)
    words = model.parts.prompt_encoder.get_parameter("words.weight").detach().clone()
    token = model.parts.prompt_encoder.get_parameter("object").detach().clone()
    train(model, batch_at, PLAN)
    assert torch.equal(words, model.parts.prompt_encoder.get_parameter("words.weight"))
    assert not torch.equal(token, model.parts.prompt_encoder.get_parameter("object"))


def test_the_fine_stage_alone_is_trained_behind_a_still_trunk(small: Preset) -> None:
    model = fresh(small, "fine")
    before = {name: p.detach().clone() for name, p in model.parts.denoiser.named_parameters()}
    assert all(name.startswith("denoiser.fine.") for name in model.parts.trainable())
    train(model, batch_at, PLAN)
    moved = {name for name, p in model.parts.denoiser.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all(name.startswith("fine.") for name in moved)


def test_lora_trains_adapters_only_and_starts_as_the_base(small: Preset) -> None:
    base, adapted = fresh(small), fresh(small, "lora")
    assert all("lora" in name or name == "prompt_encoder.object" for name in adapted.parts.trainable())
    both = [model.sample([0], prompts=[INSTANCE_PROMPT], seed=0) for model in (base, adapted)]
    assert torch.allclose(both[0], both[1], atol=1e-5)
    frozen = adapted.parts.denoiser.get_parameter("fine.enter.weight").detach().clone()
    train(adapted, batch_at, PLAN)
    assert torch.equal(frozen, adapted.parts.denoiser.get_parameter("fine.enter.weight"))
    assert not torch.allclose(both[0], adapted.sample([0], prompts=[INSTANCE_PROMPT], seed=0), atol=1e-5)


def test_a_saved_lora_draws_the_same_and_is_small(small: Preset, tmp_path: Path) -> None:
    model = fresh(small, "lora")
    train(model, batch_at, PLAN)
    model.save(tmp_path)
    loaded = NormalModel.load(tmp_path)
    images = [each.sample([0, 1], prompts=[INSTANCE_PROMPT] * 2, seed=0) for each in (model, loaded)]
    assert torch.equal(*images)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["lora.safetensors"]


def test_rates_warm_up_and_cool_down() -> None:
    plan = TrainingPlan(steps=100, learning_rate=1.0, ema=0.9, seed=0, warmup=10, decay="cosine")
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, abs=0.01)
    assert max(rates) == pytest.approx(1.0, abs=0.05)
    assert rates[-1] < 0.02
