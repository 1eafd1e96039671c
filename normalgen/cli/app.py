"""The commands. An error prints one line and exits with 1; `--debug` prints the traceback."""

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
from normalgen.cli.screen import screen
from normalgen.cli.show import fail, never_fail, show_notes
from normalgen.cli.suggest import suggest
from normalgen.cli.train_text import train_text
from normalgen.errors import NormalgenError
from normalgen.io.atomic import is_full

__all__ = ["app", "run"]

app = typer.Typer(
    name="normalgen",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn a few photos of good parts into a pool of anomaly-free images, for visual anomaly detection.",
    epilog="Start with: normalgen generate ./good -n 100",
)
for command in (
    generate,
    screen,
    suggest,
    customize,
    detect,
    personalize,
    evaluate,
    results,
    train_text,
    presets,
    doctor,
):
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback if a command fails.")] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> None:
    """Run the command; raises SystemExit, or the error itself with --debug."""
    # Long spinning makes a busy machine several times slower; no spinning does the same to an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    never_fail()
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
        reason = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        remedy = "free some space; files written so far are complete, and the same command resumes"
        fail(f"cannot read or write ({reason}); {remedy if is_full(error) else 'choose another file or folder'}")
