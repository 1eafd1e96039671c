"""What is known of one setting: its help, its range, its option, and what it decides."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from normalgen.errors import PresetError

__all__ = ["Decided", "Setting", "setting", "settings_in"]

Decided = Literal["model", "pool", "twins"]
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


@dataclass(frozen=True)
class Setting:
    """One setting of a preset.

    Attributes:
        help: what it does, in a sentence.
        low: the least value of a number.
        above: in place of `low`: a number that it must exceed.
        high: the greatest value of a number.
        choices: all values that it can have; empty if they are not listed.
        flag: its option on the command line, such as "--size" or "--gate/--no-gate"; "" if it has none.
        decides: the results that differ with it. Records and cache keys of those results compare it.
        name: with its group, such as "train.steps".
        kind: type of its values: "int", "float", "bool" or "str".
    """

    help: str
    low: float | None = None
    above: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    flag: str = ""
    decides: tuple[Decided, ...] = ()
    name: str = ""
    kind: str = ""

    @property
    def option(self) -> str:
        """Its option as a message names it, "--gate" for "--gate/--no-gate"; its name if it has none."""
        return self.flag.partition("/")[0] or self.name

    def check(self, value: Any) -> None:
        """Check the type, the choices and the range.

        Raises:
            PresetError: `value` has another type, is none of the choices, or is out of range.
        """
        if not (_fits(value, self.kind) and (value in self.choices if self.choices else self._in_range(value))):
            named = f" (setting {self.name})" if self.option != self.name else ""
            raise PresetError(f"{self.option} must be {self._expected()}, got {_shown(value)}{named}")

    def _in_range(self, value: Any) -> bool:
        if self.high is None:
            return True
        return bool((self.low <= value if self.low is not None else self.above < value) and value <= self.high)

    def _expected(self) -> str:
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.high is None:
            return _WORDS[self.kind]
        low, high = (f"{end:.10g}" for end in (self.above if self.low is None else self.low, self.high))
        return f"in ({low}, {high}]" if self.low is None else f"from {low} to {high}"


def setting(
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    flag: str = "",
    decides: tuple[Decided, ...] = (),
) -> Setting:
    """The description of a field, to put into its `Annotated` type; a Literal type lists the choices itself."""
    return Setting(help, low, above, high, choices, flag, decides)


def settings_in(config: type, group: str = "") -> dict[str, Setting]:
    """The settings of a dataclass by name, with `group` before it; fields without a description are left out."""
    found = {}
    for field, hint in get_type_hints(config, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, described = get_args(hint)
            name = f"{group}.{field}" if group else field
            found[name] = _complete(described, name, kind)
    return found


def _complete(described: Setting, name: str, kind: Any) -> Setting:
    """The description with what the field's name and type say."""
    listed = get_origin(kind) is Literal
    choices = get_args(kind) if listed else described.choices
    return replace(described, name=name, kind="str" if listed else kind.__name__, choices=choices)


def _fits(value: Any, kind: str) -> bool:
    if kind in ("bool", "str"):
        return type(value).__name__ == kind
    return isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return f"{value:.10g}" if _fits(value, "float") else repr(value)
