"""The description of one setting: its help, range, option, and the results it decides."""

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
        help: what it does, in one sentence.
        low: smallest allowed number.
        above: instead of `low`, a number that it must exceed.
        high: largest allowed number.
        choices: all allowed values; empty if they are not listed.
        flag: its command-line option, such as "--size" or "--gate/--no-gate"; "" if it has none.
        decides: the results that depend on it; their records and cache keys compare it.
        name: including its group, such as "train.steps".
        kind: type of its values, "int", "float", "bool" or "str".
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
        """The option as messages name it, "--gate" for "--gate/--no-gate"; the setting's name if it has none."""
        return self.flag.partition("/")[0] or self.name

    def check(self, value: Any) -> None:
        """Check that `value` has the right type, is one of the choices, and is in range.

        Raises:
            PresetError: it does not.
        """
        if not (_fits(value, self.kind) and (value in self.choices if self.choices else self._in_range(value))):
            named = f" (setting {self.name})" if self.option != self.name else ""
            raise PresetError(f"{self.option} must be {self._expected()}, got {_text(value)}{named}")

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
    """Describe a field inside its `Annotated` type; a Literal type lists its own choices."""
    return Setting(help, low, above, high, choices, flag, decides)


def settings_in(config: type, group: str = "") -> dict[str, Setting]:
    """Return the settings of a dataclass by name, prefixed with `group`; skips fields without a description."""
    settings = {}
    for field, hint in get_type_hints(config, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, described = get_args(hint)
            name = f"{group}.{field}" if group else field
            settings[name] = _complete(described, name, kind)
    return settings


def _complete(described: Setting, name: str, kind: Any) -> Setting:
    """Return the description with the name, type and choices of its field."""
    listed = get_origin(kind) is Literal
    choices = get_args(kind) if listed else described.choices
    return replace(described, name=name, kind="str" if listed else kind.__name__, choices=choices)


def _fits(value: Any, kind: str) -> bool:
    if kind in ("bool", "str"):
        return type(value).__name__ == kind
    return isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return f"{value:.10g}" if _fits(value, "float") else repr(value)
