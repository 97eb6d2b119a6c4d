"""Is all that is installed pinned in requirements.lock, at that version? Two machines with the same lock have the same.

python .ci/lock.py            tells what is not, exit code 1
python .ci/lock.py --write    makes the lock of what is installed here: of a fresh environment with all extras
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
HEAD = "# Versions that were run together, on Python 3.11: pip install -c requirements.lock ...\n"
OURS = {"mcu-nas", "pip", "setuptools", "wheel"}  # the package itself, and what comes with an environment
TORCHS = ("nvidia-", "cuda-", "triton")  # where it has them, torch itself pins them


def normal(name: str) -> str:
    """The name of a distribution as the index compares them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Compare, or write."""
    here = {normal(each.name): f"{each.name}=={each.version}" for each in importlib.metadata.distributions()}
    here = {name: here[name] for name in sorted(here.keys() - OURS) if not name.startswith(TORCHS)}
    if "--write" in sys.argv:
        LOCK.write_text(HEAD + "".join(f"{pin}\n" for pin in here.values()))
        return 0
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    pinned = {normal(line.partition("==")[0]): line.partition("==")[2] for line in lines}
    wrong = [pin for name, pin in here.items() if pinned.get(name) != pin.partition("==")[2].partition("+")[0]]
    if wrong:
        sys.stderr.write(f"not as in {LOCK.name}: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
