"""Damaged input for every parser: each must be read or refused with a ``NasError``, in bounded memory and time.

    python benchmarks/fuzz.py all --inputs 100000 --seed 0
    python benchmarks/fuzz.py tflite images --inputs 2000 --out failures/
    python benchmarks/fuzz.py cifar --engine atheris --inputs 100000

Inputs are real files that were damaged (``fuzzing/mutation.py``); number and seed say which. One input may take 10 s of
processor time, and the memory that ``fuzzing/parsers.py`` states for its parser: 64 MiB and 64 times its size, where
nothing else stands there. The smallest input of each kind of failure is kept in ``--out``. The exit status is the
number of kinds.

``--engine atheris`` lets coverage guide the same damage (pip install atheris).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # arenas of threads reserve 64 MiB each

from fuzzing import campaign
from fuzzing.parsers import PARSERS


def main() -> int:
    """Run the campaigns; the number of kinds of failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parsers", nargs="+", metavar="PARSER", help=f"all, or of {', '.join(PARSERS)}")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--engine", choices=("random", "atheris"), default="random")
    asked = parser.parse_args()
    names = list(PARSERS) if asked.parsers == ["all"] else asked.parsers
    if unknown := sorted({*names} - {*PARSERS}):
        parser.error(f"no parser {unknown[0]!r}: there are {', '.join(PARSERS)}")
    if asked.engine == "atheris":
        from fuzzing.guided import explore

        return explore(names, asked.inputs, asked.seed, asked.out)
    return sum(_campaign(name, asked.inputs, asked.seed, asked.out) for name in names)


def _campaign(name: str, inputs: int, seed: int, out: Path) -> int:
    parser = PARSERS[name]()
    found = campaign.run(parser, name, seed, inputs)
    _say(
        f"{name:16} {found.inputs:,} inputs in {found.seconds:.0f} s: {found.accepted:,} accepted, {found.refused:,} "
        f"refused, {len(found.failures)} kinds of failures; one took up to {found.peak_bytes / (1 << 20):.1f} MiB and "
        f"{found.slowest_seconds:.2f} s"
    )
    for failure in sorted(found.failures.values(), key=lambda each: -each.times):
        files = campaign.make_input(parser, name, seed, failure.number)
        if " at " in failure.signature:
            files = campaign.smallest(parser, files, failure.signature)
        folder = out / name / re.sub(r"[^A-Za-z0-9.]+", "-", failure.signature)
        campaign.save(files, folder)
        _say(f"  {failure.times} x {failure.signature}: {failure.message[:160]!r}; {folder}")
    return len(found.failures)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
