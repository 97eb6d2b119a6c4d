"""Costs, plans, slimming and C code on other people's `.tflite` files; nothing of ours decides what is right.

    python benchmarks/corpus.py judge FOLDER --log corpus.jsonl --jobs 2
    python benchmarks/corpus.py table corpus.jsonl

``corpus.csv`` names 483 files of public repositories by hash, repository, commit and path; the files themselves belong
to others and are not part of the project. ``judge`` takes any folder of `.tflite` files, each in a process of its own:

- costs: what TensorFlow Lite Micro (TFLM) measures, or refused, with its own reason;
- a plan: no larger than TFLM's own, measured by TFLM, or none;
- the slim file and the planned one: every output bit that of the original, in TFLM and twice in LiteRT;
- C: TFLM's bits on 20 random inputs, or refused by name.

``--log`` goes on where it was stopped. A verdict that begins with ``WRONG`` is a fault of ours; so is ``DIED``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nas.cost.file_cost import report
from nas.errors import InputError, NasError, ValidationError
from nas.export.model_reader import read_model
from nas.harness.tflm import measure_arena
from nas.pipeline.emulate import export_c
from nas.pipeline.export import export_model
from nas.pipeline.plan import plan_file
from nas.pipeline.reporter import Reporter
from nas.plan.placement import DEFAULT_PLANNING

MOST_SECONDS = 600  # for one file
Verdict = dict[str, Any]


def judge(path: Path) -> Verdict:
    """Everything about one file."""
    model = path.read_bytes()
    found: Verdict = {"bytes": len(model)}
    with tempfile.TemporaryDirectory() as scratch:
        checks: dict[str, Callable[[], Any]] = {
            "cost": lambda: cost_verdict(model),
            "plan": lambda: plan_verdict(path, Path(scratch, "plan.tflite")),
            "export": lambda: export_verdict(path, Path(scratch, "slim.tflite")),
            "c": lambda: c_verdict(path, Path(scratch, "net")),
        }
        for name, check in checks.items():
            started = time.monotonic()
            found[name] = attempt(check)
            found[f"{name}_seconds"] = round(time.monotonic() - started, 2)
    return found


def attempt(check: Callable[[], str]) -> str:
    """Its verdict; a refusal with its reason; anything else that is raised is a fault of ours."""
    try:
        return check()
    except ValidationError as error:
        text = " ".join(str(error).split())
        ours = any(sign in text for sign in ("other outputs", "values other than", "not safe", "refuses the code"))
        return f"{'WRONG' if ours else 'refused'}: {text}"
    except InputError as error:
        return f"refused: {' '.join(str(error).split())}"
    except NasError as error:
        return f"WRONG: {error}"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"


def cost_verdict(model: bytes) -> str:
    """Modelled against measured."""
    found, arena = report(read_model(model)), measure_arena(model)
    modelled = (found.activation_bytes, found.activation_bytes + found.persistent_bytes)
    measured = (arena.activation_bytes, arena.total_bytes)
    if modelled == measured:
        return "exact"
    told = f"{modelled} modelled, {measured} measured"
    return f"lower bound, told: {', '.join(found.unsupported)}: {told}" if found.unsupported else f"WRONG: {told}"


def plan_verdict(path: Path, out: Path) -> str:
    """Measured before and after."""
    planned = plan_file(path, DEFAULT_PLANNING, out, None, Reporter())
    before, after = planned.arena_before, planned.arena
    if after.total_bytes > before.total_bytes or after.activation_bytes > before.activation_bytes:
        return f"WRONG: {before} -> {after}"
    if planned.plan.offsets is None:
        return "none: TFLM does as well by itself"
    return f"saves {1 - after.activation_bytes / before.activation_bytes:.4f} of the activations"


def export_verdict(path: Path, out: Path) -> str:
    """Slimmed, and planned where that helps."""
    exported = export_model(path, True, out, Reporter())
    assert exported.proof is not None
    if exported.flash_bytes > exported.original_bytes and exported.planned is None:
        return f"WRONG: {exported.original_bytes} -> {exported.flash_bytes} bytes"
    return f"identical in {', '.join(exported.proof.identical)}"


def c_verdict(path: Path, folder: Path) -> str:
    """Compiled here."""
    written = export_c(path, folder)
    return "bit-exact" if written.compiler else "NOT PROVED"


def in_own_process(path: Path, log: Path) -> int:
    """Start judging; the child adds its line to the log, whatever a runtime does to it."""
    child = os.fork()
    if child:
        return child
    signal.alarm(MOST_SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    note(log, path, judge(path))
    os._exit(0)


def note(log: Path, path: Path, found: Verdict) -> None:
    """Add one line."""
    line = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "file": path.name, **found}
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def judge_all(folder: Path, log: Path, jobs: int) -> None:
    """Every file that the log does not have."""
    done = {line["file"] for line in lines(log)} if log.exists() else set()
    waiting = [path for path in sorted(folder.glob("*.tflite")) if path.name not in done]
    running: dict[int, Path] = {}
    count = len(waiting)
    while waiting or running:
        while waiting and len(running) < jobs:
            path = waiting.pop(0)
            running[in_own_process(path, log)] = path
        child, status = os.wait()
        if path_of := running.pop(child, None):
            if status:
                note(log, path_of, {"cost": f"DIED: {os.waitstatus_to_exitcode(status)}"})
            sys.stderr.write(f"\r{count - len(waiting) - len(running)} of {count}")
    sys.stderr.write("\n")


def lines(log: Path) -> Iterator[Verdict]:
    """Of a log."""
    yield from map(json.loads, log.read_text().splitlines())


def table(log: Path) -> None:
    """Totals, and every fault."""
    found = list(lines(log))
    print(f"{len(found)} files")  # noqa: T201
    for check in ("cost", "plan", "export", "c"):
        counts = Counter(kind(line.get(check, "-")) for line in found)
        print(f"{check}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))  # noqa: T201
    saved = [float(line["plan"].split()[1]) for line in found if line.get("plan", "").startswith("saves")]
    if saved:
        middle = sorted(saved)[len(saved) // 2]
        print(f"plans save {sum(saved) / len(saved):.1%} in the mean, {middle:.1%} median, {max(saved):.1%} at most")  # noqa: T201
    for line in found:
        for check in ("cost", "plan", "export", "c"):
            if kind(line.get(check, "")) in ("WRONG", "DIED", "NOT PROVED"):
                print(f"{line['file']} {check}: {line[check]}")  # noqa: T201


def kind(verdict: str) -> str:
    """The first words."""
    return (
        verdict.partition(":")[0].partition(" ")[0]
        if verdict.startswith(("saves", "identical"))
        else verdict.partition(":")[0]
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    judging = commands.add_parser("judge")
    judging.add_argument("folder", type=Path)
    judging.add_argument("--log", type=Path, required=True)
    judging.add_argument("--jobs", type=int, default=1)
    commands.add_parser("table").add_argument("log", type=Path)
    given = parser.parse_args()
    if given.command == "judge":
        judge_all(given.folder, given.log, given.jobs)
    else:
        table(given.log)


if __name__ == "__main__":
    main()
