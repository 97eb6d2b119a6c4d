"""What of the tools that nas works with is installed, and how to get the rest."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

DISTRIBUTION = "mcu-nas"
EXTRAS = {  # of pyproject.toml, but for those who change nas
    "speech": "builtin speech, nas search --keywords",
    "emulation": "nas validate --target cortex-m4, cortex-m7, cortex-m33",
    "serial": "nas validate --target serial:PORT, a board",
    "postgresql": "nas search --storage postgresql://",
    "mysql": "nas search --storage mysql://",
}
COMMANDS = (  # name, how it tells its version, what it is for, how to install it
    (
        "arm-none-eabi-gcc",
        "-dumpfullversion",
        "nas validate --target: the compiler that latency is modelled for",
        "apt install gcc-arm-none-eabi",
    ),
    (
        "qemu-system-arm",
        "--version",
        "nas validate --target cortex-m55; a second count of instructions",
        "apt install qemu-system-arm",
    ),
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that may be installed."""

    name: str
    found: str | None
    """Its version; ``None``: it is not there."""
    usable: bool
    """There, and of a version that works."""
    required: bool
    """Without it nothing works."""
    purpose: str
    install: str

    def to_json(self) -> dict[str, Any]:
        """As ``nas doctor --json`` prints it."""
        return asdict(self)


def look_around() -> list[Tool]:
    """Everything that nas works with, what is required first."""
    return [*_packages(), *(_command(*each) for each in COMMANDS)]


def describe_device() -> str:
    """Where trainings run by default."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)} (CUDA)"
    return f"CPU, {torch.get_num_threads()} threads ({platform.machine()}); no CUDA device"


def _packages() -> Iterator[Tool]:
    """As the metadata of nas itself lists them."""
    wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    for each in wanted:
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield _package(each, "", "everything")
    for extra, purpose in EXTRAS.items():
        for each in wanted:
            if each.marker is not None and "extra" in str(each.marker) and each.marker.evaluate({"extra": extra}):
                yield _package(each, extra, purpose)


def _package(wanted: Requirement, extra: str, purpose: str) -> Tool:
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        found = None
    usable = found is not None and wanted.specifier.contains(found, prereleases=True)
    install = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{wanted.name}{wanted.specifier}'"
    return Tool(wanted.name, found, usable, not extra, purpose, install)


def _command(name: str, version: str, purpose: str, install: str) -> Tool:
    path = shutil.which(name)
    found = None
    if path is not None:
        told = subprocess.run([path, version], capture_output=True, text=True, errors="replace").stdout
        number = re.search(r"\d+(\.\d+)+", told)
        found = number[0] if number else "of unknown version"
    return Tool(name, found, found is not None, required=False, purpose=purpose, install=install)
