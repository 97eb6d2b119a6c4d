"""What a search of 100,000 candidates costs beside its trainings; many workers on one study; the page of a long search.

    python benchmarks/load.py engines --candidates 100000
    python benchmarks/load.py workers --candidates 300
    python benchmarks/load.py page --candidates 10000

``engines``: time for each candidate and memory in use as a search grows, in the space of keyword spotting; scores cost
nothing, and each candidate is written to a run folder. ``workers``: eight processes on one study in a PostgreSQL
server of their own: whether a network was evaluated twice, or lost. ``page``: a search of the smallest size whose run
folder is filled up with candidates; how long ``nas report`` takes for its page, and Chromium to show it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from nas.budget import Budget
from nas.engines import Candidate, Report, SearchRequest, best, get_engine
from nas.engines.run_folder import RunFolder
from nas.report.front_plot import plot_front
from nas.space import Architecture, load_space

ROOT = Path(__file__).resolve().parents[1]
SPACE, BUDGET = "kws_micronet", Budget(flash_bytes=1 << 18, ops=30_000_000)
MIB = 1 << 20
WORKERS = 8
NAS = (sys.executable, "-c", "from nas.cli.app import main; main()")
SEARCH = ("--task", "kws", "--ops", "2M", "--data", "builtin", "--engine", "random", "--trials", "3")
SMALLEST = ("search", *SEARCH, "--epochs", "1", "--train-epochs", "1")


def engines(candidates: int) -> None:
    """One engine after the other, each in a process whose memory is its own."""
    for name in ("random", "nsga2", "tpe"):
        process = multiprocessing.get_context("spawn").Process(target=course, args=(name, candidates))
        process.start()
        process.join()


def course(name: str, candidates: int) -> None:
    """Ten lines on the way of one search."""
    request = SearchRequest(load_space(SPACE), BUDGET, score, lambda found: False, 0, limit=candidates)
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder.create(Path(place) / "run", {"schema": 1})
        last, since = time.process_time(), 0
        for done, candidate in enumerate(get_engine(name)(request), 1):
            run.append(candidate)
            if done % (candidates // 10) == 0:
                now, size = time.process_time(), (run.path / "candidates.jsonl").stat().st_size
                each = 1000 * (now - last) / (done - since)
                say(
                    f"{name:8}{done:>9,} candidates: the last {done - since:,} took {each:.1f} ms of a core each; "
                    f"{memory() / MIB:.0f} MiB in use, {size / MIB:.0f} MiB on the disk"
                )
                last, since = now, done
        started = time.perf_counter()
        found = run.candidates()
        say(f"{name:8}{len(found):>9,} candidates are read back in {time.perf_counter() - started:.1f} s")


def score(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
    """Without any pattern; the same in every process."""
    return int(architecture.digest, 16) / 16**12, 0.001


def memory() -> int:
    """Bytes that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def workers(candidates: int) -> None:
    """As many processes as in the tests, but more, and a longer study."""
    sys.path.insert(0, str(ROOT / "tests" / "engines"))
    from postgres import postgres_server

    space, limit = str(ROOT / "search_spaces" / f"{SPACE}.toml"), str(candidates)
    with postgres_server() as server, tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{i}.jsonl" for i in range(WORKERS)]
        worker = (sys.executable, str(ROOT / "tests" / "engines" / "study_worker.py"), "random", space, server.url())
        started = time.perf_counter()
        running = [subprocess.Popen([*worker, limit, "0", file]) for file in files]
        codes = [process.wait() for process in running]
        seconds = time.perf_counter() - started
        lines = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    evaluated = Counter(line["network"] for mine in lines for line in mine if "started" in line)
    shares = [sum("started" in line for line in mine) for mine in lines]
    known = {len([line for line in mine if "found" in line]) for mine in lines}
    twice = sum(count > 1 for count in evaluated.values())
    say(
        f"{WORKERS} workers, {sum(shares)} candidates in {seconds:.0f} s ({min(shares)} to {max(shares)} each); "
        f"{twice} evaluated twice; every worker knows {known}; exit codes {set(codes)}"
    )


def page(candidates: int) -> None:
    """Of a real search, whose list of candidates is made longer."""
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder(Path(place) / "run")
        subprocess.run([*NAS, *SMALLEST, "--out", str(run.path)], check=True, stdout=subprocess.DEVNULL)
        space, rng, first = load_space(SPACE), random.Random(0), run.candidates()
        for number in range(len(first), candidates):
            point = space.sample(rng)
            run.append(Candidate(number, point, BUDGET.cost(point), rng.betavariate(8, 2), 1.0, rng.random() < 0.3))
        found = run.candidates()
        (run.path / "front.svg").write_bytes(plot_front(found, [best(found)], ["ops"], {"ops": 2_000_000}, "accuracy"))
        written = timed(*NAS, "report", str(run.path))
        html = run.path / "report.html"
        size = html.stat().st_size / MIB
        say(f"{len(found):,} candidates: nas report takes {written:.1f} s; the page has {size:.2f} MiB")
        browser = shutil.which("chromium") or sys.exit("no chromium")
        show = (
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--screenshot={place}/shot.png",
            "--window-size=1200,4000",
        )
        empty = min(timed(*show, "about:blank") for _ in range(3))
        shown = min(timed(*show, html.as_uri()) for _ in range(3))
        say(f"Chromium starts, paints and ends in {shown:.2f} s; with an empty page in {empty:.2f} s")


def timed(*words: str) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


LOADS = {"engines": (engines, 100_000), "workers": (workers, 300), "page": (page, 10_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--candidates", type=int)
    asked = parser.parse_args()
    load, usual = LOADS[asked.load]
    load(asked.candidates or usual)


if __name__ == "__main__":
    main()
