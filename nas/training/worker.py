"""The process behind ``nas.training.parallel.join``: ``python -m nas.training.worker FOLDER RANK``."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path

import torch

from nas.training.loop import train_share
from nas.training.runtime import join_runtime, open_runtime


def main(folder: Path, rank: int) -> None:
    """Train the share of one rank, then end; end at once if the process that started this one does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = folder / "job.pt"
    kind = torch.load(file, weights_only=False, map_location="cpu", mmap=True)["device"]
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    job = torch.load(file, weights_only=False, map_location=device)  # pickled by our parent in a folder of its own
    home = open_runtime(kind, job["devices"], job["precision"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    train_share(**job["work"], runtime=join_runtime(home, rank, job["port"]))


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # at once: tearing down takes seconds, for which rank 0 would not know why it lost us
