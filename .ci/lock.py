"""The versions that were run together, and the hashes of their files.

    python .ci/lock.py            is all that is installed pinned in requirements-dev.lock? exit code 1 where it is not
    python .ci/lock.py --write    resolve both locks again with uv; pins that still fit stay

torch is in neither: which build of it is right depends on the machine, and one for CUDA brings gigabytes of others.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"requirements.lock": ("speech", "emulation"), "requirements-dev.lock": ("speech", "emulation", "docs", "dev")}
BUILD = "hatchling\neditables\n"  # what makes the package itself
TORCH = "2.13.0"
HEAD = """\
# Versions that were run together on Python 3.11, with the hashes of their files; written by .ci/lock.py.
#     pip install torch=={torch}
#     pip install --require-hashes --no-deps -r {name}
#     pip install --no-deps --no-build-isolation -e .
"""
OURS = {"mcu-nas", "pip"}  # the package itself, and what makes environments
TORCHS = ("torch", "nvidia-", "cuda-", "triton")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def normal(name: str) -> str:
    """The name of a distribution as the index compares them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write(name: str, extras: tuple[str, ...]) -> None:
    """Resolve one lock; without torch and what that pins."""
    chosen = [word for extra in extras for word in ("--extra", extra)]
    command = ["uv", "pip", "compile", "pyproject.toml", "-", *chosen, "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--quiet", "--constraint", name]
    done = subprocess.run(command, cwd=ROOT, input=BUILD, text=True, stdout=subprocess.PIPE, check=True)
    blocks = re.split(r"\n(?=\S)", done.stdout.strip())
    kept = [block for block in blocks if not normal(block).startswith(TORCHS)]
    (ROOT / name).write_text(HEAD.format(torch=TORCH, name=name) + "\n".join(kept) + "\n")


def main() -> int:
    """Compare, or write."""
    if "--write" in sys.argv:
        for name, extras in LOCKS.items():
            write(name, extras)
        return 0
    pins = {normal(name): version for name, version in PIN.findall((ROOT / "requirements-dev.lock").read_text())}
    pins["torch"] = TORCH
    here = {normal(each.name): each.version.partition("+")[0] for each in importlib.metadata.distributions()}
    wrong = [
        f"{name}=={version}"
        for name, version in sorted(here.items())
        if name not in OURS and pins.get(name) != version and (name == "torch" or not name.startswith(TORCHS))
    ]
    if wrong:
        sys.stderr.write(f"not as in requirements-dev.lock: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
