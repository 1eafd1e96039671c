"""How much memory a process held, where the system says it and where it does not."""

import subprocess
import sys

import pytest

from normalgen.io.peak_memory import peak_memory


def test_a_process_that_runs_torch_holds_hundreds_of_megabytes() -> None:
    found = peak_memory()
    assert found is not None
    assert 1e8 < found < 1e12


def test_where_there_is_no_module_resource_the_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None


@pytest.mark.parametrize("module", ["normalgen.diffusion.preset_check", "normalgen.evaluation.run"])
def test_modules_start_where_there_is_no_module_resource(module: str) -> None:
    # Transformers needs `resource` on Linux, but not on Windows: it is imported first.
    lines = f"import sys, normalgen.diffusion.stable_diffusion; sys.modules['resource'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
