"""`--devices` and `--jobs`: several processes share the work."""

import os
import subprocess
import sys
from subprocess import Popen
from threading import Thread
from typing import IO

from normalgen.cli.show import fail, say
from normalgen.errors import DataError
from normalgen.io.devices import pick_device

__all__ = ["run_together", "run_workers"]

PATIENCE = 20.0
"""Seconds in which a stopped worker must end."""


def run_workers(devices: str, shard: str | None, words: list[str]) -> None:
    """Start the command in `words` once per device, as shards of one pool; print their output and wait for all.

    Raises:
        DataError: no device is named, one is not there, or a shard is given as well.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if not names:
        raise DataError(f"--devices must name devices, such as cuda:0,cuda:1, got {devices!r}")
    if shard:
        raise DataError("--devices starts all shards; leave --shard out")
    for name in names:
        pick_device(name)
    commands = {
        f"{number}/{len(names)} {name}": [*_without(words), "--shard", f"{number}/{len(names)}", "--device", name]
        for number, name in enumerate(names, 1)
    }
    run_together(commands, {})


def run_together(commands: dict[str, list[str]], environment: dict[str, str]) -> None:
    """Run several normalgen commands at once, print each line of output after its label, and wait for all."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": os.environ | environment}
    workers: list[Popen[str]] = []
    readers: list[Thread] = []
    try:
        for label, words in commands.items():
            workers.append(Popen([sys.executable, "-m", "normalgen", *words], **given))  # type: ignore[call-overload]
            readers.append(Thread(target=_show, args=(label, workers[-1].stdout)))
            readers[-1].start()
        codes = [worker.wait() for worker in workers]
    except BaseException:
        _end(workers)
        raise
    for reader in readers:
        reader.join()
    failed = [label for label, code in zip(commands, codes, strict=True) if code]
    if failed:
        fail(f"worker {failed[0]} failed, see its message above; the same command resumes")


def _end(workers: list[Popen[str]]) -> None:
    """Interrupt the workers, and kill those that do not end in time."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()


def _show(label: str, lines: IO[str] | None) -> None:
    for line in lines or ():
        say(f"{label} | {line.rstrip()}", err=True)


def _without(words: list[str]) -> list[str]:
    """Return the command without `--devices`."""
    kept, skip = [], False
    for word in words:
        if not skip and not word.startswith("--devices"):
            kept.append(word)
        skip = word == "--devices"
    return kept
