"""Does anything get lost when work is killed? Kills commands at random points, resumes them, and compares the ends.

    python benchmarks/soak.py --kills 200 --out soak/

Each job runs once to its end without harm. Then it is started again and again in new folders, killed with SIGKILL (it
and its children) after a random time, and resumed until it ends. After every kill all files of the folder must be
whole and no finished candidate may be gone; every end must be that of the unharmed run: the same candidates, scores
and measured costs, the same bytes of the INT8 file. Kills stand in ``--out`` one by one; the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from safetensors import safe_open

from nas.export.model_reader import read_model

NAS = (sys.executable, "-c", "from nas.cli.app import main; main()")
SMALL = ("--task", "kws", "--ops", "2M", "--data", "builtin", "--train-epochs", "2")
BYTES = ("winner/arch.json", "winner/model.tflite", "winner/weights.safetensors", "winner/quantized.safetensors")
TIMES = {"seconds", "train_seconds", "train_samples_per_second", "train_input_share", "tme", "search_seconds", "run"}


@dataclass(frozen=True)
class Job:
    """A command that works in a folder, and the one that goes on in it."""

    start: Callable[[Path], tuple[str, ...]]
    resume: Callable[[Path], tuple[str, ...]]
    record: str
    """File with which there is something to resume."""
    rows: str
    """Pattern of the files to which finished work is appended."""
    ends: tuple[str, ...]
    """Patterns of the files of which every byte must be that of the unharmed run."""


def search(*flags: str) -> Job:
    return Job(
        lambda folder: ("search", *SMALL, *flags, "--out", str(folder)),
        lambda folder: ("search", "--resume", str(folder)),
        "run.json",
        "candidates.jsonl",
        BYTES,
    )


def again(*words: str, ends: tuple[str, ...]) -> Job:
    """One that goes on when it is given again."""

    def command(folder: Path) -> tuple[str, ...]:
        return (*words, "--out", str(folder))

    return Job(command, command, "run.json", "candidates.jsonl", ends)


STUDY = ("ablate", "--task", "kws", "--vary", "engine=random,tpe", "--seeds", "2")
SETTINGS = {"ops": "2M", "data": "builtin", "trials": 2, "epochs": 1, "train-epochs": 1}
JOBS = {
    "tpe": search("--engine", "tpe", "--trials", "5", "--epochs", "2"),
    "random": search("--engine", "random", "--trials", "5", "--epochs", "1", "--pareto", "2"),
    "dnas": search("--engine", "dnas", "--trials", "3", "--epochs", "4"),
    "inherit": search("--engine", "nsga2", "--inherit", "--trials", "40", "--epochs", "4"),
    "train": again("train", "kws_micronet:smallest", "--data", "builtin", "--epochs", "6", ends=BYTES),
    "ablate": Job(
        lambda folder: (*STUDY, *(w for k, v in SETTINGS.items() for w in ("--set", f"{k}={v}")), "--out", str(folder)),
        lambda folder: ("ablate", "--resume", str(folder)),
        "study.json",
        "runs/*/*/candidates.jsonl",
        tuple(f"runs/*/*/{name}" for name in BYTES),
    ),
}


def main() -> None:
    arguments = parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = arguments.out / "kills.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for name in arguments.jobs:
        mine = [row for row in done if row["job"] == name]
        if sum(row["kills"] for row in mine) >= arguments.kills:
            continue
        whole, seconds = unharmed(name, arguments.out / name)
        number = len(mine)
        while sum(row["kills"] for row in mine) < arguments.kills:
            row = one_round(name, arguments.out / name, number, whole, seconds, arguments.seed)
            mine.append(row)
            done.append(row)
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
            number += 1
    show(done)


def unharmed(name: str, place: Path) -> tuple[dict[str, Any], float]:
    """End of the unharmed run, and its seconds."""
    folder = place / "whole"
    known = place / "seconds"
    if not known.exists():
        place.mkdir(exist_ok=True)
        started = time.monotonic()
        subprocess.run([*NAS, *JOBS[name].start(folder)], check=True, stdout=subprocess.DEVNULL)
        known.write_text(str(time.monotonic() - started))
    return end(JOBS[name], folder), float(known.read_text())


def one_round(name: str, place: Path, number: int, whole: dict[str, Any], seconds: float, seed: int) -> dict[str, Any]:
    """Kill and resume until the work is done -> what happened."""
    job, folder, rng = JOBS[name], place / f"round-{number}", random.Random(f"{name} {seed} {number}")
    kills, troubles, kept, code = 0, list[str](), 0, None
    while True:
        begun = (folder / job.record).exists()
        if begun and json.loads((folder / job.record).read_text()).get("status") == "done":
            code = 0  # killed when all was done
            break
        code = run_for(rng.uniform(0.2, seconds), (job.resume if begun else job.start)(folder))
        if code == 0:
            break
        if code is not None:
            troubles.append(f"after {kills} kills: exit code {code}")
            break
        kills += 1
        troubles += [f"after {kills} kills: {trouble}" for trouble in broken(folder)]
        rows = sum(path.read_bytes().count(b"\n") for path in folder.glob(job.rows))
        if rows < kept:
            troubles.append(f"after {kills} kills: {kept - rows} finished candidates are gone")
        kept = rows
    if code == 0 and (other := [key for key, value in end(job, folder).items() if whole.get(key) != value]):
        troubles.append(f"another end: {', '.join(other)}")
    litter = sum(path.name.startswith(".") and path.name != ".lock" for path in folder.rglob("*"))
    return {"job": name, "round": number, "seed": seed, "kills": kills, "troubles": troubles, "litter": litter}


def run_for(seconds: float, words: tuple[str, ...]) -> int | None:
    """Exit code of a command; none where it was killed with all its children."""
    process = subprocess.Popen(
        [*NAS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def broken(folder: Path) -> Iterator[str]:
    """Files that are not whole."""
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text()),
        ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
        ".tflite": lambda path: read_model(path.read_bytes()),
        ".safetensors": lambda path: safe_open(path, "np"),
    }
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.suffix not in readers:
            continue
        try:
            readers[path.suffix](path)
        except Exception as error:
            yield f"{path.relative_to(folder)}: {error}"


def end(job: Job, folder: Path) -> dict[str, Any]:
    """What must be alike: bytes of files, and all figures but times."""
    paths = sorted(path for pattern in job.ends for path in folder.glob(pattern))
    found: dict[str, Any] = {str(path.relative_to(folder)): digest(path) for path in paths}
    for pattern in (job.rows, job.rows.replace("candidates.jsonl", "result.json")):
        for path in folder.glob(pattern):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            found[str(path.relative_to(folder))] = [timeless(json.loads(line)) for line in lines]
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def timeless(value: Any) -> Any:
    """Without times and the name of the folder, which differ from run to run."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def show(done: list[dict[str, Any]]) -> None:
    table = Table("job", "kills", "resumed to the end", "troubles", "temporary files left")
    for name in dict.fromkeys(row["job"] for row in done):
        mine = [row for row in done if row["job"] == name]
        sums = [sum(row["kills"] for row in mine), len(mine), sum(len(row["troubles"]) for row in mine)]
        table.add_row(name, *map(str, [*sums, sum(row["litter"] for row in mine)]))
    console = Console()
    console.print(table)
    for row in done:
        for trouble in row["troubles"]:
            console.print(f"{row['job']}, round {row['round']}: {trouble}", markup=False)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=40, help="of each job, at least")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
