"""The commands, and how errors reach people: one line and exit 1; `--debug` gives the traceback."""

import errno
import os
import sys
from typing import Annotated

import typer

import normalgen
from normalgen.cli.customize import customize
from normalgen.cli.data import data_app
from normalgen.cli.detect import detect
from normalgen.cli.doctor import doctor
from normalgen.cli.evaluate import evaluate
from normalgen.cli.generate import generate
from normalgen.cli.personalize import personalize
from normalgen.cli.pool import pool_app
from normalgen.cli.presets import presets
from normalgen.cli.results import results
from normalgen.cli.show import fail, show_notes
from normalgen.cli.train_text import train_text
from normalgen.errors import NormalgenError

__all__ = ["app", "main"]

app = typer.Typer(
    name="normalgen",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a few photos of good parts to a pool of anomaly-free images, for visual anomaly detection.",
    epilog="Start with: normalgen generate ./good -n 100",
)
for command in (generate, customize, detect, personalize, evaluate, results, train_text, presets, doctor):
    app.command()(command)
app.add_typer(pool_app, name="pool")
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"normalgen {normalgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """The entry point `normalgen`; ends in SystemExit, or with --debug in the error itself."""
    # Threads that spin for long while they wait make work on a busy machine several times slower; threads that sleep at
    # once do so on an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    show_notes()
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        words = [word for word in words if word != "--debug"]
        app(words, prog_name="normalgen")
    except NormalgenError as error:
        if debug:
            raise
        fail(str(error))
    except OSError as error:
        if debug or error.errno is None:
            raise
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "make room; what is written so far is whole, and the same command resumes"
        fail(f"cannot read or write ({what}); {remedy if full else 'name another file or folder'}")
