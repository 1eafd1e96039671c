"""The command line. Each command parses its options, calls one function and prints the result."""

import signal
import sys

__all__ = ["main"]

CTRL_C = 128 + signal.SIGINT


class _Stopped(KeyboardInterrupt):
    """A signal came. Python ends by SIGINT, whatever its handlers say, once a plain KeyboardInterrupt leaves `exec`."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command `normalgen`; raises SystemExit, or the error itself with --debug.

    Almost from its first moment, Ctrl-C and SIGTERM end it with one line that says how to resume, and 130 or 143.
    """
    with _Interrupts() as received:
        try:
            from normalgen.cli.app import run  # not at the top: that takes a while

            run(arguments)
        except BaseException as error:
            code = CTRL_C if isinstance(error, KeyboardInterrupt) else getattr(error, "code", 1)
            if code != CTRL_C and not (received and code):
                raise
            _say_stopped(sys.argv[1:] if arguments is None else arguments)
            sys.exit(128 + received[0] if received else CTRL_C)


class _Interrupts:
    """Makes SIGTERM interrupt as Ctrl-C does; gives the signals received. Outside the main thread, it does nothing."""

    def __enter__(self) -> list[int]:
        self.received: list[int] = []
        self.before: dict[int, object] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._interrupt)
            except ValueError:
                break
        return self.received

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _interrupt(self, number: int, frame: object) -> None:
        self.received.append(number)
        raise _Stopped


def _say_stopped(words: list[str]) -> None:
    import shlex

    from normalgen.io.text import printable

    again = shlex.join(["normalgen", *words])
    sys.stderr.write(printable(f"error: stopped; finished work is kept. To resume: {again}") + "\n")
