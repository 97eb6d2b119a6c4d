"""Run a ``.tflite`` on a task's evaluation files or test split and score it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.harness.litert import LiteRtModel
from nas.harness.score import in_real_units, score
from nas.harness.tflm import TflmModel, measure_arena
from nas.harness.trial import require_runs
from nas.pipeline.emulate import HOST, emulate, find_target, is_bit_exact
from nas.pipeline.reporter import Reporter
from nas.pipeline.tested import open_tested
from nas.tasks import Task, load_evaluation_folder
from nas.tasks.base import Split
from nas.tasks.metric import Score

Int8Array = np.ndarray[Any, np.dtype[np.int8]]
EXACT_SAMPLES = 100  # compared bit by bit between TFLM and LiteRT's reference kernels, or the emulated core


@dataclass(frozen=True, slots=True)
class NamedSamples:
    """What to measure on: on the task's INT8 grid, or in real units where the task has none."""

    name: str
    split: Split


def validate_model(what: Path, task_name: str, data: str | None, target: str, reporter: Reporter) -> dict[str, Any]:
    """Score of a model in LiteRT and TFLM, and the arena that it takes.

    ``score`` is LiteRT's with its default kernels, on which the benchmark's published figures rest; the rounding of
    TFLM's reference kernels differs and can turn a near tie (902 and 901 of 1,000 for the keyword reference).

    Args:
        what: a run folder or a ``.tflite`` file.
        target: ``host``, or a core of ``nas.harness.cores``, or a microcontroller: then the C code of the network is
            built for the core and run in an emulator too, and score, arena and ``bit_exact`` are those of the core.
        data: a folder of the benchmark's evaluation files (``y_labels*.csv`` and ``.bin``), or a data set, of which the
            test split is taken; ``None``: the data of the run.

    Raises:
        InputError: no such model, target or data.
        ValidationError: a runtime refuses the model.
    """
    place = None if target == HOST else find_target(target)
    tested = open_tested(what, task_name, data)
    model, task, convert, grid, metric = tested.model, tested.task, tested.convert, tested.output, tested.metric
    sets = _evaluation_sets(task, tested.data, reporter)
    core = None if place is None else emulate(model, place.core)  # before minutes of scoring: tools may be missing
    require_runs(model)
    litert, tflm = LiteRtModel(model), TflmModel(model)
    results = []
    for one in sets:
        counted = score(in_real_units(litert.run, convert, grid), one.split, metric)
        micro = score(in_real_units(tflm.run, convert, grid), one.split, metric, _told(reporter, one, "TFLM"))
        results.append({"name": one.name, **_figures(counted), **_figures(micro, "tflm_")})
    few = convert(np.asarray(sets[0].split.features[:EXACT_SAMPLES]))
    arena = measure_arena(model)
    found = {
        "model": str(tested.path),
        "task": task.name,
        "target": target,
        "metric": task.metric,
        **{key: results[0][key] for key in ("score", "correct", "total")},
        "sets": results,
        "bit_exact": bool(np.array_equal(tflm.run(few), LiteRtModel(model, kernels="reference").run(few))),
        "flash_bytes": len(model),
        "arena_bytes": arena.total_bytes,
        "activation_bytes": arena.activation_bytes,
    }
    if core is None or place is None:
        return found
    for one, figures in zip(sets, results, strict=True):
        counted = score(in_real_units(core.core.run, convert, grid), one.split, metric, _told(reporter, one, target))
        figures.update(_figures(counted, "emulated_"))
    costs = core.costs(few)
    return found | {
        **{key: results[0][f"emulated_{key}"] for key in ("score", "correct")},
        "bit_exact": is_bit_exact(core, tflm, few),
        "arena_bytes": core.program.arena_bytes,
        **costs,
        "mcu": place.mcu and place.mcu.name,
        "latency_ms": place.latency_ms(costs["instructions"]),
    }


def _told(reporter: Reporter, one: NamedSamples, where: str) -> Callable[[int, int], None]:
    return lambda done, total: reporter.progress(f"{one.name} in {where}", done, total)


def _evaluation_sets(task: Task, data: str | None, reporter: Reporter) -> list[NamedSamples]:
    if data is not None and any(Path(data).glob("y_labels*.csv")):
        found = load_evaluation_folder(Path(data), task)
        return [NamedSamples(one.name, Split(one.inputs, one.labels, one.anomalous)) for one in found]
    dataset = task.load(data, progress=reporter.progress)
    for note in dataset.notes:
        (reporter.warn if dataset.synthetic else reporter.note)(note)
    test, grid = dataset.test, task.input_quantization
    if grid is not None:
        test = Split(grid.quantize(np.asarray(test.features)), np.asarray(test.labels), test.anomalous)
    return [NamedSamples(f"{dataset.name} test", test)]


def _figures(found: Score, prefix: str = "") -> dict[str, Any]:
    figures = {"score": found.value, "correct": found.correct, "total": found.total}
    return {f"{prefix}{name}": figure for name, figure in figures.items() if not prefix or name != "total"}
