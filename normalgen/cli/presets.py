"""normalgen presets."""

from normalgen.settings.presets import PRESETS


def presets() -> None:
    """List the presets and every setting in them."""
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", *PRESETS)
    columns = [preset.settings() for preset in PRESETS.values()]
    for name in columns[0]:
        if name != "name":
            table.add_row(name, *(str(column[name]) for column in columns))
    Console().print(table)
