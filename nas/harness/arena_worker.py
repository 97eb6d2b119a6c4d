"""The process behind ``nas.harness.tflm.measure_arena``: ``python -m nas.harness.arena_worker MODEL BYTES``.

TFLM prints its allocations to file descriptor 2 and, on some models, ends the process; the parent handles
both.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(path: Path, arena_bytes: int) -> None:
    """Load a model and print what it allocated."""
    from tflite_micro import runtime

    runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=arena_bytes).print_allocations()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
