"""What a search is worth: engines at equal cost on real data, winners trained fully and measured as INT8 files.

    python benchmarks/engines.py --data speech_commands --ops 6M --seeds 0 1 2 --out engines.jsonl

For each seed the gradient search goes first; every other engine then gets as many seconds of search as it took, of
processor time, so that other work on the machine favours none (run it with OMP_NUM_THREADS=1). Winners are trained
for the same epochs by the same recipe. Trained-model equivalents (TME) are search time over the time that training the
own winner took, and 1 for that training. Rows are appended to --out, and those that stand there are not measured again,
so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.engines import SearchRequest, best, get_engine
from nas.engines.run_folder import RunFolder
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import SearchOptions, SearchPlan, plan_search
from nas.pipeline.scoring import make_scorer
from nas.pipeline.session import Session, open_session
from nas.pipeline.winner import Finish, make_winner, train_fully

MODES = {  # row -> flags; the first one's search time is that of all
    "dnas": {"engine": "dnas"},
    "tpe": {"engine": "tpe"},
    "random": {"engine": "random"},
    "even": {"engine": "even"},
    "tpe, inherited weights": {"engine": "tpe", "inherit": True},
}


def main() -> None:
    """Measure what is missing, then print the table."""
    arguments = _arguments()
    done = _read(arguments.out)
    for seed in arguments.seeds:
        for mode in arguments.modes:
            if not any((row["mode"], row["seed"]) == (mode, seed) for row in done):
                row = measure(mode, seed, arguments, _seconds(done, seed))
                done.append(row)
                with arguments.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                Console().print(row)
    show(done, arguments)


def measure(mode: str, seed: int, arguments: argparse.Namespace, seconds: float | None) -> dict[str, Any]:
    """One search and its winner."""
    bounds = {"flash": arguments.flash, "sram": arguments.sram, "ops": arguments.ops}
    options = SearchOptions(
        "kws", seed=seed, data=str(arguments.data), train_epochs=arguments.train_epochs, **bounds, **MODES[mode]
    )
    plan = plan_search(options)
    session = open_session(plan.task, options.data, seed, options.device, Reporter())
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", {"schema": 1})
        started = time.process_time()
        candidates = list(search(run, plan, session, seconds))
        search_seconds = time.process_time() - started
        found = best(candidates)
        started = time.process_time()
        train_fully(session, found.architecture, Finish(plan.train_epochs), run.winner)
        train_seconds = time.process_time() - started
        winner = make_winner(session, found.architecture, plan.budget, Finish(plan.train_epochs), run.winner)
    return {
        "mode": mode,
        "seed": seed,
        "search_seconds": round(search_seconds, 1),
        "train_seconds": round(train_seconds, 1),
        "tme": round(search_seconds / train_seconds + 1, 2),
        "candidates": len(candidates),
        "network": found.architecture.summary(),
        "used": plan.budget.used(winner.predicted),
        "float": winner.float_score,
        "int8": winner.int8.accuracy,
        "int8_total": winner.int8.total,
        "validation": winner.validation_score,
    }


def search(run: RunFolder, plan: SearchPlan, session: Session, seconds: float | None) -> Iterable[Any]:
    """The candidates of one engine; without ``seconds`` as many as are its default."""
    scorer = make_scorer(run, plan, session, plan.epochs, lambda: None)
    started = time.process_time()
    scorer.prepare()

    def stop(found: Any) -> bool:
        return seconds is not None and time.process_time() - started >= seconds

    request = SearchRequest(
        plan.space,
        plan.budget,
        scorer.evaluate,
        stop,
        plan.options.seed,
        limit=plan.limit if seconds is None else None,
        gradient=scorer.gradient,
    )
    return get_engine(plan.engine)(request)


def show(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """One line for each engine: means over the seeds, and the spread."""
    table = Table(title=f"kws_micronet, {arguments.train_epochs} epochs for each winner")
    for name in ("engine", "seeds", "INT8 mean", "each", "TME", "candidates", "binding budget used"):
        table.add_column(name)
    for mode in arguments.modes:
        mine = [row for row in rows if row["mode"] == mode]
        if not mine:
            continue
        scores = [row["int8"] for row in mine]
        table.add_row(
            mode,
            str(len(mine)),
            f"{statistics.fmean(scores):.2%}",
            " ".join(f"{score:.2%}" for score in scores),
            f"{statistics.fmean(row['tme'] for row in mine):.2f}",
            " ".join(str(row["candidates"]) for row in mine),
            " ".join(f"{max(row['used'].values()):.0%}" for row in mine),
        )
    Console().print(table)


def _seconds(rows: list[dict[str, Any]], seed: int) -> float | None:
    """Search time of the first mode at this seed."""
    first = next(iter(MODES))
    return next((row["search_seconds"] for row in rows if (row["mode"], row["seed"]) == (first, seed)), None)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Speech Commands in its official layout")
    parser.add_argument("--flash")
    parser.add_argument("--sram")
    parser.add_argument("--ops")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train-epochs", type=int, default=40)
    parser.add_argument("--modes", nargs="+", default=["dnas", "tpe", "random", "even"], choices=list(MODES))
    parser.add_argument("--out", type=Path, default=Path("engines.jsonl"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
