"""`--devices`: one worker process a device, together making one pool."""

import subprocess
import sys
from threading import Thread
from typing import IO

import typer

from normalgen.cli.show import fail
from normalgen.errors import DataError

__all__ = ["run_workers"]


def run_workers(devices: str, shard: str | None, words: list[str]) -> None:
    """Start the command in `words` once a device, as shards of one pool; show what each says, and wait for all.

    Raises:
        DataError: no device named, or a shard besides.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if not names:
        raise DataError(f"--devices must name devices, such as cuda:0,cuda:1, got {devices!r}")
    if shard:
        raise DataError("--devices starts all shards by itself; leave --shard out")
    workers = []
    for place, name in enumerate(names, 1):
        share = ["--shard", f"{place}/{len(names)}", "--device", name]
        command = [sys.executable, "-m", "normalgen", *_without(words), *share]
        workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    readers = [
        Thread(target=_show, args=(f"{i}/{len(names)} {name}", worker.stdout))
        for i, (name, worker) in enumerate(zip(names, workers, strict=True), 1)
    ]
    for reader in readers:
        reader.start()
    try:
        codes = [worker.wait() for worker in workers]
    except KeyboardInterrupt:
        for worker in workers:
            worker.wait()
        raise
    for reader in readers:
        reader.join()
    failed = [name for name, code in zip(names, codes, strict=True) if code]
    if failed:
        fail(f"the worker on {failed[0]} failed, its message is above; the same command goes on")


def _show(label: str, lines: IO[str] | None) -> None:
    for line in lines or ():
        typer.echo(f"{label} | {line.rstrip()}", err=True)


def _without(words: list[str]) -> list[str]:
    """The command without `--devices`."""
    kept, skip = [], False
    for word in words:
        if not skip and not word.startswith("--devices"):
            kept.append(word)
        skip = word == "--devices"
    return kept
