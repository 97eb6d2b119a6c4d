"""What each ingredient of a recipe is worth: the recipe as it is, and with one thing changed at a time.

    python benchmarks/recipes.py kws kws_micronet:micronet-kws-s --data speech_commands/ --seeds 3 --out kws.jsonl
        "average = 0.0" "label_smoothing = 0.0" "mixup = 0.2" "augment = {}" "weight_decay = 0.0"

Scores are of the float network on the validation split; the test split is never read. Differences are between trainings
of the same seed. Results stand in the file one by one; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.models.network import build_network
from nas.pipeline.reporter import Reporter
from nas.pipeline.session import Session, open_session
from nas.space import Architecture
from nas.space.lookup import find_architecture
from nas.tasks import TaskSettings, get_task
from nas.training.loop import evaluate, train
from nas.training.recipe import Recipe, load_recipe
from nas.units import format_score

AS_IT_IS = ""


def main() -> None:
    arguments = parse()
    task = get_task(arguments.task, arguments.data, TaskSettings())
    network = find_architecture(arguments.network)
    task = task.fitted(network.input_shape)
    recipe = load_recipe(task, arguments.recipe)
    if arguments.epochs:
        recipe = recipe.with_(epochs=arguments.epochs)
    session = open_session(task, arguments.data, 0, "cpu", Reporter(), arguments.precision, recipe=recipe)
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    for seed in range(arguments.seeds):
        for change in (AS_IT_IS, *arguments.changes):
            key = {"network": arguments.network, "epochs": recipe.epochs, "seed": seed, "change": change}
            if not any(key.items() <= row.items() for row in done):
                done.append({**key, **measure(session, network, changed(recipe, change), seed)})
                with arguments.out.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
                Console(stderr=True).print(done[-1])
    rows = [row for row in done if (row["network"], row["epochs"]) == (arguments.network, recipe.epochs)]
    Console().print(table(rows, arguments.changes, task.metric))


def changed(recipe: Recipe, change: str) -> Recipe:
    """A recipe with one line of its file replaced."""
    return Recipe.model_validate({**recipe.to_json(), **tomllib.loads(change)}, strict=False)


def measure(session: Session, network: Architecture, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One training: validation score and CPU seconds."""
    model, started = build_network(network.graph, seed), time.process_time()
    train(model, session.data, recipe, seed, runtime=session.runtime)
    score = evaluate(model, session.data, session.data.validation).value
    return {"score": score, "cpu_seconds": round(time.process_time() - started, 1)}


def table(rows: list[dict[str, Any]], changes: list[str], metric: str) -> Table:
    """Mean and spread over seeds, and the mean difference to the recipe as it is."""
    found = Table(title=f"{rows[0]['network']}, {rows[0]['epochs']} epochs, {metric} on the validation split")
    for column in ("change", "mean", "each seed", "difference", "CPU seconds"):
        found.add_column(column, justify="left" if column == "change" else "right")
    scores = {(row["change"], row["seed"]): row["score"] for row in rows}
    for change in (AS_IT_IS, *changes):
        mine = [row for row in rows if row["change"] == change]
        gains = [row["score"] - scores[AS_IT_IS, row["seed"]] for row in mine if (AS_IT_IS, row["seed"]) in scores]
        if mine:
            found.add_row(
                change or "none",
                format_score(metric, statistics.fmean(row["score"] for row in mine)),
                ", ".join(format_score(metric, row["score"]) for row in mine),
                f"{100 * statistics.fmean(gains):+.2f}" if change else "",
                f"{statistics.fmean(row['cpu_seconds'] for row in mine):.0f}",
            )
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("network", help="a run, an arch.json or SPACE:POINT")
    parser.add_argument("changes", nargs="*", help="a line of a recipe file")
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", help="default: the task's")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path, default=Path("recipes.jsonl"))
    return parser.parse_intermixed_args()  # changes may stand behind the flags


if __name__ == "__main__":
    main()
