"""Does anything get lost when work meets a fault? Breaks commands at random points, resumes them, compares the ends.

    python benchmarks/soak.py --faults 25 --out soak/
    python benchmarks/soak.py --fault full --jobs tpe train export --faults 5 --out soak-full/

Each job runs once to its end without harm. Then it is started again and again in new folders, meets faults, and is
resumed until it ends. After every fault all files of the folder must be whole and no finished candidate may be gone;
every end must be that of the unharmed run: the same candidates, scores and measured costs, the same bytes of the INT8
file. Rounds stand in ``--out`` one by one; the same command goes on.

    kill       SIGKILL for the command and its children after a random time
    full       the folder lies on a disk that is full after a random share of what the job writes, and grows then (root)
    readonly   from a random time on nothing in the folder can be written (root; a disk that knows chattr)
    clock      the clock of the computer jumps by up to a month, forth and back, every few seconds (needs a C compiler)

Where the disk does not do what it should, the command must end with exit code 2 and say so in a line or two.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
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
SMALL = ("--task", "kws", "--ops", "2M", "--data", "builtin", "--train-epochs", "1")
CLOCK = Path(__file__).with_name("jumping_clock.c")
JUMP_SECONDS = 30 * 24 * 3600
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
    good: tuple[int, ...] = (0,)
    """Exit codes of an end."""


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


def from_a_run(command: Callable[[Path, Path], tuple[str, ...]], good: int = 0) -> Job:
    """One that starts from a finished run, and is given again."""

    def words(folder: Path) -> tuple[str, ...]:
        folder.mkdir(exist_ok=True)
        return command(folder.parents[1] / "source", folder)

    return Job(words, words, "no record", "no rows", ("**/*",), (good,))


STUDY = ("ablate", "--task", "kws", "--vary", "engine=random,tpe", "--seeds", "2")
SETTINGS = {"ops": "2M", "data": "builtin", "trials": 2, "epochs": 1, "train-epochs": 1}
JOBS = {
    "tpe": search("--engine", "tpe", "--trials", "4", "--epochs", "2"),
    "random": search("--engine", "random", "--trials", "4", "--epochs", "1", "--pareto", "2"),
    "dnas": search("--engine", "dnas", "--trials", "2", "--epochs", "3"),
    "inherit": search("--engine", "nsga2", "--inherit", "--trials", "40", "--epochs", "2"),
    "train": again("train", "kws_micronet:smallest", "--data", "builtin", "--epochs", "4", ends=BYTES),
    "export": from_a_run(lambda run, folder: ("export", str(run), "--out", str(folder / "model.tflite"))),
    "export-c": from_a_run(lambda run, folder: ("export", str(run), "--c", str(folder / "c"))),
    # A few files of noise in place of the benchmark's: the check at the end tells that, exit code 4.
    "submit": from_a_run(
        lambda run, folder: ("submit", str(run), "--org", "us", "--data", str(run / "data"), "--out", str(folder)), 4
    ),
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
    os.environ["OMP_NUM_THREADS"] = "1"  # another number has other bytes, and another day may have another number
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = arguments.out / "rounds.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    make_source(arguments.out / "source")
    for name in arguments.jobs:
        mine = [row for row in done if (row["job"], row["fault"]) == (name, arguments.fault)]
        while sum(row["faults"] for row in mine) < arguments.faults:
            row = one_round(name, arguments.out / name, arguments.fault, len(mine), arguments.seed)
            mine.append(row)
            done.append(row)
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
    show(done)


def make_source(run: Path) -> None:
    """What export and submission start from."""
    if not (run / "result.json").exists():
        subprocess.run([*NAS, *search("--engine", "random", "--trials", "2", "--epochs", "1").start(run)], check=True)
        rng, folder = random.Random(0), run / "data" / "kws01"
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.bin").write_bytes(rng.randbytes(490))
        (folder / "y_labels.csv").write_text("".join(f"{number}.bin,12,{number}\n" for number in range(6)))


@functools.cache
def unharmed(name: str, place: Path) -> tuple[dict[str, Any], float, int]:
    """End of the unharmed run, its seconds, and the bytes that it took on the disk."""
    folder = place / "whole"
    known = place / "seconds"
    if not known.exists():
        place.mkdir(exist_ok=True)
        started = time.monotonic()
        code = run_to_end(JOBS[name].start(folder)).returncode
        if code not in JOBS[name].good:
            sys.exit(f"{name}: exit code {code} without any fault")
        known.write_text(str(time.monotonic() - started))
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
    return end(JOBS[name], folder), float(known.read_text()), size


def one_round(name: str, place: Path, fault: str, number: int, seed: int) -> dict[str, Any]:
    """Meet faults and resume until the work is done -> what happened."""
    whole, seconds, size = unharmed(name, place)
    job, folder, rng = JOBS[name], place / f"{fault}-{number}", random.Random(f"{name} {fault} {seed} {number}")
    met, troubles, kept = 0, list[str](), 0
    subprocess.run(
        ["umount", "-q", folder], check=False, stderr=subprocess.DEVNULL
    )  # what a round that was broken off has left
    shutil.rmtree(folder, ignore_errors=True)
    harm = FAULTS[fault](folder, rng, seconds, size)
    while True:
        begun = (folder / job.record).exists()
        if begun and json.loads((folder / job.record).read_text()).get("status") == "done":
            break  # killed when all was done
        code, trouble = harm((job.resume if begun else job.start)(folder))
        if code is not None:
            troubles += [] if code in job.good else [f"after {met} faults: exit code {code}: {trouble}"]
            met += fault == "clock"
            break
        met += 1
        troubles += [f"after {met} faults: {each}" for each in ([trouble] if trouble else []) + list(broken(folder))]
        rows = sum(path.read_bytes().count(b"\n") for path in folder.glob(job.rows))
        if rows < kept:
            troubles.append(f"after {met} faults: {kept - rows} finished candidates are gone")
        kept = rows
    found = end(job, folder)
    if other := sorted(key for key in {*found, *whole} if whole.get(key) != found.get(key)):
        troubles.append(f"another end: {', '.join(other)}")
    litter = sum(path.name.startswith(".") and path.name != ".lock" for path in folder.rglob("*"))
    if fault == "full":
        subprocess.run(["umount", folder], check=True)
    return {
        "job": name,
        "fault": fault,
        "round": number,
        "seed": seed,
        "faults": met,
        "troubles": troubles,
        "litter": litter,
    }


Harm = Callable[[tuple[str, ...]], tuple[int | None, str]]
"""Carry out a command -> its exit code, none where it met its fault; and what was wrong with how it ended."""


def moments(rng: random.Random, seconds: float) -> Iterator[float]:
    """Seconds until a fault; more and more, so that also what begins anew each time comes to its end."""
    while True:
        yield rng.uniform(0.2, seconds)
        seconds *= 1.15


def kill(folder: Path, rng: random.Random, seconds: float, size: int) -> Harm:
    times = moments(rng, seconds)

    def harm(words: tuple[str, ...]) -> tuple[int | None, str]:
        process = subprocess.Popen([*NAS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **OWN_GROUP)
        try:
            return process.wait(next(times)), ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, ""

    return harm


def full(folder: Path, rng: random.Random, seconds: float, size: int) -> Harm:
    there = 0
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "soak", folder], check=True)

    def harm(words: tuple[str, ...]) -> tuple[int | None, str]:
        nonlocal there
        there += int(rng.uniform(0.05, 0.6) * size) + 4096
        subprocess.run(["mount", "-o", f"remount,size={there}", folder], check=True)
        return judged(run_to_end(words), "No space left on device")

    return harm


def readonly(folder: Path, rng: random.Random, seconds: float, size: int) -> Harm:
    times = moments(rng, seconds)

    def harm(words: tuple[str, ...]) -> tuple[int | None, str]:
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen([*NAS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **OWN_GROUP)
        try:
            said = process.communicate(timeout=next(times))[1]
        except subprocess.TimeoutExpired:
            subprocess.run(["chattr", "-R", "+i", folder], check=False, stderr=subprocess.DEVNULL)  # files come and go
            said = process.communicate()[1]
            subprocess.run(["chattr", "-R", "-i", folder], check=True)
        return judged(subprocess.CompletedProcess(words, process.returncode, stderr=said), "Operation not permitted")

    return harm


def clock(folder: Path, rng: random.Random, seconds: float, size: int) -> Harm:
    def harm(words: tuple[str, ...]) -> tuple[int | None, str]:
        with tempfile.TemporaryDirectory() as place:
            library, wrong = Path(place, "clock.so"), Path(place, "seconds")
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, CLOCK], check=True)
            wrong.write_text("0")
            changed = {**os.environ, "LD_PRELOAD": str(library), "JUMPING_CLOCK": str(wrong)}
            process = subprocess.Popen(
                [*NAS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=changed, text=True
            )
            while process.poll() is None:
                time.sleep(rng.uniform(0.5, 5))
                wrong.write_text(str(rng.randrange(-JUMP_SECONDS, JUMP_SECONDS)))
            assert process.stderr is not None
            return process.returncode, process.stderr.read()[-300:]

    return harm


FAULTS: dict[str, Callable[[Path, random.Random, float, int], Harm]] = {
    "kill": kill,
    "full": full,
    "readonly": readonly,
    "clock": clock,
}
OWN_GROUP: dict[str, Any] = {"start_new_session": True}


def run_to_end(words: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*NAS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)


def judged(done: subprocess.CompletedProcess[bytes], reason: str) -> tuple[int | None, str]:
    """Of a command whose disk may have failed: what it should have said."""
    _, error, said = done.stderr.decode().rpartition("nas: error: ")
    if done.returncode != 2:
        return done.returncode, said[-300:]
    right = error and reason in said and said.count("\n") <= 2
    return None, "" if right else f"it said {done.stderr.decode()[-300:]!r}"


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
    paths = sorted(path for pattern in job.ends for path in folder.glob(pattern) if path.is_file())
    found: dict[str, Any] = {str(path.relative_to(folder)): digest(path) for path in paths}
    for pattern in (job.rows, job.rows.replace("candidates.jsonl", "result.json")):
        for path in folder.glob(pattern):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            found[str(path.relative_to(folder))] = [timeless(json.loads(line)) for line in lines]
    return found


def digest(path: Path) -> str:
    """Of a log, without the times at which its lines were written."""
    content = path.read_bytes()
    return hashlib.sha256(re.sub(rb"(?m)^\d+\.\d+ ", b"", content) if path.suffix == ".txt" else content).hexdigest()


def timeless(value: Any) -> Any:
    """Without times and the name of the folder, which differ from run to run."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def show(done: list[dict[str, Any]]) -> None:
    table = Table("fault", "job", "faults", "resumed to the end", "troubles", "temporary files left")
    for fault, name in dict.fromkeys((row["fault"], row["job"]) for row in done):
        mine = [row for row in done if (row["fault"], row["job"]) == (fault, name)]
        sums = [sum(row["faults"] for row in mine), len(mine), sum(len(row["troubles"]) for row in mine)]
        table.add_row(fault, name, *map(str, [*sums, sum(row["litter"] for row in mine)]))
    console = Console()
    console.print(table)
    for row in done:
        for trouble in row["troubles"]:
            console.print(f"{row['fault']}, {row['job']}, round {row['round']}: {trouble}", markup=False)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=FAULTS, default="kill")
    parser.add_argument("--faults", type=int, default=25, help="of each job, at least")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
