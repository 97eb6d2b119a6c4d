"""The wheel holds what the checkout has, and works in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LIGHT = ("typer", "pydantic", "numpy")  # all that the listing commands need; the rest of the stack takes 2 GB
NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|name resolution|Network is unreachable|No matching distribution"
)
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def pip(python: Path | str, *words: str | Path) -> None:
    """Run pip; a machine that cannot reach a package index cannot build in isolation, and skips."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", *map(str, words)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("no package index within reach")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "-w", folder, checkout)
    (path,) = folder.glob("mcu_nas-*.whl")
    return path


@pytest.fixture(scope="module")
def fresh_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], env=ENVIRONMENT, check=True)
    pip(folder / "bin" / "python", "install", *LIGHT)
    pip(folder / "bin" / "python", "install", "--no-deps", wheel)
    return folder


@pytest.mark.parametrize("kind", ["search_spaces", "constraints"])
def test_every_data_file_is_in_the_wheel(wheel: Path, checkout: Path, kind: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for path in (checkout / kind).glob("*.toml"):
            assert archive.read(f"nas/_data/{kind}/{path.name}") == path.read_bytes()


def test_every_module_is_in_the_wheel_and_nothing_else(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {str(path.relative_to(checkout)) for path in (checkout / "nas").rglob("*.py")}
    assert modules <= set(names)
    assert "nas/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"nas"}
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.parametrize("command", ["spaces", "mcus"])
def test_the_installed_command_lists_the_packaged_files(
    fresh_environment: Path, checkout: Path, tmp_path: Path, command: str
) -> None:
    """From an unrelated folder, without the checkout in sight."""
    words = [fresh_environment / "bin" / "nas", command, "--json"]
    done = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    folder = {"spaces": "search_spaces", "mcus": "constraints"}[command]
    assert {row["name"] for row in rows} == {path.stem for path in (checkout / folder).glob("*.toml")}
    for row in rows:
        assert Path(row.get("file", fresh_environment / "x")).is_relative_to(fresh_environment)
