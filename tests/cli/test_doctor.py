"""What normalgen doctor says of installed versions."""

import importlib.metadata

import pytest
from detecting import run

TRANSFORMERS = "adding LoRAs through transformers"
NMS = "operator torchvision::nms does not exist"
REAL = importlib.metadata.version


@pytest.mark.parametrize(
    ("versions", "words", "code"),
    [
        ({"transformers": "5.24.0", "peft": "0.21.2"}, TRANSFORMERS, 0),
        ({"transformers": "6.0.0.dev0", "peft": "0.9.0"}, TRANSFORMERS, 0),
        ({"transformers": "5.24.0", "peft": "0.22.0"}, None, 0),
        ({"transformers": "5.23.1", "peft": "0.21.2"}, None, 0),
        ({"transformers": "5.24.0", "peft": None}, None, 0),
        ({"torch": "2.13.1+cpu", "torchvision": "0.28.0"}, NMS, 1),
        ({"torch": "2.13.1+cpu", "torchvision": "0.28.0+cpu"}, None, 0),
        ({"torch": "2.13.1", "torchvision": "0.28.0"}, None, 0),
        ({"torch": "2.14.0+cpu", "torchvision": "0.29.1"}, None, 0),
    ],
    ids=str,
)
def test_versions_that_do_not_work_together_are_named(
    versions: dict[str, str | None],
    words: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    working: dict[str, str | None] = {"transformers": "5.0.0", "torch": "2.14.0"}

    def faked(name: str) -> str:
        version = (working | versions).get(name, REAL("pytest"))
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr("importlib.metadata.version", faked)
    assert run("doctor") == code
    noted = capsys.readouterr().err
    if words is None:
        assert noted == ""
        return
    assert noted.startswith("note: ")
    assert words in noted
    assert all(f"{name} {version}" in noted for name, version in versions.items())
    assert "pip install" in noted
