"""Fill the GPU rows of docs/reproduce.md: full-size Stable Diffusion 1.5, random weights; nothing is downloaded.

    PYTHONPATH=tests:tests/benchmarks python tests/benchmarks/stable_gpu.py --device cuda

`--small` runs the same, but for compiling, on a small model, to see on a CPU that it works.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from stable_size import FULL, SMALL, Size, parts, their_lora_loop
from tiny_stable import write_tokenizer

from normalgen.customizing.training_batches import batches
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.training import TrainingPlan, _State
from normalgen.images.turning import turnable
from normalgen.settings.presets import Preset, change, preset
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, fill, prompt_set

BATCH = 8


def seconds(work: Callable[[], object], device: str, times: int) -> float:
    """Seconds a call, after one to warm up."""
    work()
    wait(device)
    begun = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return (time.perf_counter() - begun) / times


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak(device: str) -> str:
    """Most memory since the last call, and a new start."""
    if not device.startswith("cuda"):
        return "- GB"
    found = torch.cuda.max_memory_allocated(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return f"{found / 1e9:.1f} GB"


class Machine:
    """Models of one size on one device."""

    def __init__(self, size: Size, device: str, folder: Path, times: int) -> None:
        self.size, self.device, self.folder, self.times = size, device, folder, times
        self.tokens = write_tokenizer(folder)

    def model(self, settings: Preset) -> NormalModel:
        made = parts(self.size, self.folder, self.tokens)
        return NormalModel(made, settings, category="part", noun="part", device=self.device)

    def twins(self, changes: dict[str, Any] | None = None) -> float:
        """Milliseconds a twin, batch 8, strength 0.3."""
        settings = preset("paper", size=self.pixels, sample=changes)
        model = self.model(settings)._finished()
        images = torch.rand(BATCH, 3, self.pixels, self.pixels, generator=torch.Generator().manual_seed(0))
        prompts = [prompt_set(3)[i % 3] for i in range(BATCH)]
        work = lambda: model.restore(images, prompts=prompts, strength=0.3, seed=0)  # noqa: E731
        return 1000 * seconds(work, self.device, self.times) / BATCH

    @property
    def pixels(self) -> int:
        return 512 if self.size is FULL else 64

    def training(self, settings: Preset) -> float:
        """Seconds a step."""
        photos = (
            torch.rand(2, 3, settings.size, settings.size, generator=torch.Generator().manual_seed(0)) * 255
        ).byte()
        model = self.model(settings)
        batch_at = batches(model, [turnable(photo) for photo in photos], photos.float() / 255, 0)
        model.parts = model.parts.prepare_training(settings)
        if model.half:
            model.parts.lighten()
        model.parts.to(self.device)
        state = _State(model, TrainingPlan(1000, 1e-6, 0.0, 0, warmup=0))
        return seconds(lambda: state.advance(batch_at(state.step)), self.device, self.times)

    def script(self, settings: Preset) -> float:
        """Seconds a step of diffusers' DreamBooth LoRA script."""
        model = self.model(settings)
        step, _ = their_lora_loop(model.parts, settings.train.rank, model.half)  # type: ignore[arg-type]
        images = torch.rand(2, 3, settings.size, settings.size, generator=torch.Generator().manual_seed(0))
        sentences = [fill(prompt, "part") for prompt in (INSTANCE_PROMPT, CLASS_PROMPT)]
        return seconds(lambda: step(images, sentences), self.device, self.times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(SMALL if asked.small else FULL, asked.device, Path(folder), asked.times)
        lora = preset("sd15", size=machine.pixels, train={"views": 4})
        print("| what | measured |\n|---|---|")
        print(f"| twin, 15 steps, guidance on, batch 8 | {machine.twins():.1f} ms, {peak(asked.device)} |", flush=True)
        fast: dict[str, Any] = {"explicit_steps": 4, "guidance": 1.0}
        print(
            f"| twin, 4 explicit steps, guidance off | {machine.twins(fast):.1f} ms, {peak(asked.device)} |",
            flush=True,
        )
        ours = machine.training(lora)
        print(f"| LoRA step | {1 / ours:.2f} a second, {peak(asked.device)} |", flush=True)
        theirs = machine.script(lora)
        print(f"| LoRA steps, ours over the script's | {theirs / ours:.2f} x, {peak(asked.device)} |", flush=True)
        full = machine.training(change(preset("paper", size=machine.pixels), train={"views": 4}))
        print(f"| full step | {1 / full:.2f} a second, {peak(asked.device)} |", flush=True)

        if asked.small:
            return
        compiled = machine.twins(fast | {"compile": True})
        print(
            f"| twin, 4 explicit steps, guidance off, compiled | {compiled:.1f} ms, {peak(asked.device)} |", flush=True
        )


if __name__ == "__main__":
    main()
