"""A first run of somebody's file, in a process that it may end: the runtimes trust what stands in a model.

``python -m nas.harness.trial MODEL`` is that process. Of the keyword reference with a few bytes changed, about one file
in thirty that they load ends them, by a signal or with an error of C++.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from nas.errors import NasError, ValidationError
from nas.files import scratch_folder
from nas.harness.litert import LiteRtModel
from nas.harness.tflm import TflmModel
from nas.processes import environment

RUNTIMES: dict[str, Callable[[bytes], LiteRtModel | TflmModel]] = {
    "LiteRT": LiteRtModel,
    "LiteRT with reference kernels": partial(LiteRtModel, kernels="reference"),
    "TensorFlow Lite Micro": TflmModel,
}
COMMAND = ("-m", "nas.harness.trial")
TRIAL_SECONDS = 600
MOST_BYTES = 4 << 30  # of a model's memory; a damaged file may ask for all that the machine has
REASON = "because: "  # before the last words


def require_runs(model: bytes) -> None:
    """Run one sample in every runtime.

    Raises:
        ValidationError: one of them refuses the model, or dies of it.
    """
    with scratch_folder("trial") as folder:
        path = folder / "model.tflite"
        path.write_bytes(model)
        command = [sys.executable, *COMMAND, str(path)]
        try:
            done = subprocess.run(
                command, env=environment(), capture_output=True, text=True, errors="replace", timeout=TRIAL_SECONDS
            )
        except subprocess.TimeoutExpired as cause:
            raise ValidationError(
                f"one sample of the model takes more than {TRIAL_SECONDS} s: it may never end"
            ) from cause
    if done.returncode < 0:
        runtime = done.stdout.splitlines()[-1]
        raise ValidationError(f"{runtime} dies of the model ({signal.Signals(-done.returncode).name})")
    if REASON in done.stdout:
        raise ValidationError(done.stdout.rpartition(REASON)[2].strip())
    if done.returncode:
        raise RuntimeError(done.stderr)


def main(path: Path) -> int:
    """Print the name of each runtime before it gets the model, and what it has against it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES if hard < 0 else min(MOST_BYTES, hard), hard))
    model = path.read_bytes()
    for name, load in RUNTIMES.items():
        print(name, flush=True)  # noqa: T201
        try:
            loaded = load(model)
            loaded.run(np.zeros((1, *loaded.input_shape[1:]), np.int8))
        except NasError as error:
            print(REASON + str(error))  # noqa: T201
            return 1
        except Exception as error:  # of C++, in as many kinds as there are damages
            print(f"{REASON}{name} cannot run the model: {' '.join(str(error).split())}")  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
