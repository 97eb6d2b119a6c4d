"""What memory plans save, and that outputs stay the same, on the reference networks and on random ones of every space.

    python benchmarks/memory_plans.py --models mlperf_tiny_models/ --data mlperf_tiny_data/
    python benchmarks/memory_plans.py --networks 200 --exported networks/ --log plans.jsonl

Every plan is written into the file, loaded by the ``tflite-micro`` wheel, whose own figures are shown, and run on 100
random inputs; published networks on 100 real ones too, where ``--data`` has them (folders ``kws01``, ``vww01``,
``ic01``, ``ad01`` of the benchmark's ``.bin`` files). Outputs must be those of the file without a plan, to the bit.
Networks with random weights often answer all inputs alike; so the same plans are tried on the files cut off before the
pooling, too, where whole maps are compared, on 10 inputs (``same maps``).

``bound`` is the most that any plan could save: what is alive at once, less what may overlap. ``replay`` counts the
plans that the verifier, which shares no code with the planner, found safe on their kernels; ``predicted`` those whose
flash and arena are to the byte what was told before anything was trained. ``--expansions`` adds a table of inverted
bottlenecks as MobileNetV2 has them, planned but not exported.

Random networks go through the product's own steps of export (see ``cost_truth.py``), about 6 s each on one core;
``--exported`` keeps the files, ``--log`` makes the whole resumable.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from cost_truth import exported
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nas.cost.lowering import lower
from nas.cost.model import cost
from nas.cost.sram import greedy_bytes
from nas.export.flatbuffer import input_detail, load, operator_name
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.export.slim import write_slim
from nas.harness.identity import random_inputs, run_tflm
from nas.harness.stderr import captured_stderr
from nas.harness.tflm import measure_arena
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.plan.planner import plan_model
from nas.plan.problem import make_problem
from nas.plan.replay import verify
from nas.space import SearchSpace, list_files, load_space

PLANS = {
    "packed": Planning(PlanKind.PACKED),
    "overlap, default": Planning(),
    "overlap, reference": Planning(kernels=(Kernels.REFERENCE,)),
    "overlap, nas-c": Planning(kernels=(Kernels.NAS_C,)),
}
DATA = {"kws_ref_model": "kws01", "vww_96_int8": "vww01", "pretrainedResnet_quant": "ic01", "ad01_int8": "ad01"}
INPUTS, MAP_INPUTS = 100, 10
AD_FRAMES, AD_BANDS = 5, 128  # of the anomaly-detection network: five frames of a spectrogram side by side

Record = dict[str, Any]


def main() -> None:
    """Measure, then print one table of published files and one of spaces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of published .tflite files")
    parser.add_argument("--data", type=Path, help="folder of the benchmark's evaluation files")
    parser.add_argument("--networks", type=int, default=0, help="random networks of each space")
    parser.add_argument("--spaces", nargs="*", default=sorted(list_files("search_spaces")))
    parser.add_argument("--plans", nargs="*", choices=PLANS, default=list(PLANS))
    parser.add_argument("--expansions", action="store_true", help="inverted bottlenecks of fixed expansion")
    parser.add_argument("--exported", type=Path, help="folder that keeps the exported networks")
    parser.add_argument("--log", type=Path, help="file of results so far: one JSON object a line")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    console = Console(width=160)
    if options.models is not None:
        files = sorted(options.models.glob("*.tflite"))
        console.print(_file_table([_file_record(path, options) for path in files], options.plans))
    wanted = [(space, seed) for seed in range(options.networks) for space in options.spaces]
    if wanted:
        console.print(_space_table(_network_records(wanted, options), options.plans))

    if options.expansions:
        console.print(_expansion_table())


def _file_record(path: Path, options: argparse.Namespace) -> Record:
    model = path.read_bytes()
    real = _real_inputs(path.stem, model, options.data)
    return {"name": path.stem, "real": len(real), **measure(model, [*_random(model), *real], options.plans)}


def _network_records(wanted: Sequence[tuple[str, int]], options: argparse.Namespace) -> list[Record]:
    log: Path | None = options.log
    lines = log.read_text().splitlines() if log is not None and log.exists() else []
    records = [one for one in map(json.loads, lines) if (one["name"], one["seed"]) in wanted]
    done = {(one["name"], one["seed"]) for one in records}
    jobs = [(space, seed, options.exported, options.plans) for space, seed in wanted if (space, seed) not in done]
    with get_context("spawn").Pool(options.jobs, maxtasksperchild=50) as pool:  # TensorFlow keeps some memory each time
        found = pool.imap_unordered(measure_network, jobs)
        for record in track(found, "planning", total=len(jobs), console=Console(stderr=True)):
            records.append(record)
            if log is not None:
                with log.open("a") as file:
                    file.write(json.dumps(record) + "\n")
    return records


def measure_network(job: tuple[str, int, Path | None, list[str]]) -> Record:
    """Export one random network, given by its space and seed, and measure its plans."""
    space, seed, folder, plans = job
    path = None if folder is None else folder / f"{space}-{seed:03d}.tflite"
    if path is not None and path.exists():
        model = path.read_bytes()
    else:
        architecture = load_space(space).sample(random.Random(seed))
        with captured_stderr():  # TensorFlow's own words
            model = exported(architecture.graph, architecture.input_shape)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".part").write_bytes(model)
            path.with_suffix(".part").replace(path)
    return {"name": space, "seed": seed, **measure(model, _random(model), plans), "maps": measure_maps(model, plans)}


def measure_maps(model: bytes, plans: Sequence[str]) -> Record:
    """Inputs whose map before the pooling stays the same, by plan; and how many different maps there are."""
    inputs, parsed = _random(model)[:MAP_INPUTS], read_model(model)
    expected = run_tflm(_cut(with_offline_plan(model, None)), inputs)
    record: Record = {"distinct": len(set(expected)), "bytes": len(expected[0])}
    for name in plans:
        plan = plan_model(parsed, PLANS[name])
        outputs = run_tflm(_cut(with_offline_plan(model, plan.offsets, plan.order)), inputs)
        record[name] = sum(one == other for one, other in zip(outputs, expected, strict=True))
    return record


def _cut(model: bytes) -> bytes:
    """The model up to its pooling, with its plan."""
    tree = load(model)
    graph = tree.subgraphs[0]
    pooling = next(i for i, op in enumerate(graph.operators) if operator_name(tree, op) == "AVERAGE_POOL_2D")
    graph.outputs = [int(graph.operators[pooling].inputs[0])]
    graph.operators = graph.operators[:pooling]
    return write_slim(tree, len(model))


def measure(model: bytes, inputs: list[list[Any]], plans: Sequence[str]) -> Record:
    """Bytes of head and arena as TFLM reports them, outputs that stay the same, and the verdict of the verifier."""
    unplanned, parsed = with_offline_plan(model, None), read_model(model)
    arena = measure_arena(unplanned)
    expected = run_tflm(unplanned, inputs)
    record: Record = {
        "operators": len(parsed.ops),
        "inputs": len(inputs),
        "distinct": len(set(expected)),
        "greedy": {"head": arena.activation_bytes, "arena": arena.total_bytes, "flash": len(unplanned)},
    }
    tried: dict[bytes, Record] = {}
    for name in plans:
        planning = PLANS[name]
        started = time.perf_counter()
        plan = plan_model(parsed, planning)
        seconds = time.perf_counter() - started
        planned = with_offline_plan(model, plan.offsets, plan.order)
        if planned not in tried:
            arena = measure_arena(planned)
            outputs = expected if planned == unplanned else run_tflm(planned, inputs)
            tried[planned] = {
                "head": arena.activation_bytes,
                "arena": arena.total_bytes,
                "flash": len(planned),
                "same": sum(one == other for one, other in zip(outputs, expected, strict=True)),
            }
        safe = all(verify(plan.apply(parsed), plan.placements, one) is None for one in planning.kernels)
        as_told = tried[planned]["head"] == plan.planned_bytes
        extra = {"seconds": seconds, "safe": safe, "as_told": as_told, "reordered": plan.reordered}
        record[name] = {**tried[planned], **extra}
    return record


def _expansion_table() -> Table:
    """Random depths and widths of ``vww_micronet_50``; the expansions nearest to a multiple of each block's input."""
    title = "100 networks of inverted bottlenecks each: activations against TFLM's greedy plan, on reference kernels"
    table = Table("hidden / input channels", "default", "reference", "bound", title=title)
    space = load_space("vww_micronet_50")
    for expansion in (1, 2, 3, 4, 6):
        rows = [_expanded_savings(space, random.Random(seed), expansion) for seed in range(100)]
        table.add_row(str(expansion), *(f"{saving:.1%}" for saving in np.mean(rows, axis=0)))
    return table


def _expanded_savings(space: SearchSpace, rng: random.Random, expansion: int) -> list[float]:
    architecture = space.sample(rng)
    choices, options = space.choices(architecture), {one.name: one.options for one in space.decisions}
    width = number = 0
    for before, block in pairwise((None, *architecture.blocks)):
        number = number + 1 if before is not None and before.stage == block.stage else 1
        hidden = options.get(f"{block.stage}.{number}.hidden", ())
        if hidden:
            choices[f"{block.stage}.{number}.hidden"] = int(np.argmin(np.abs(np.subtract(hidden, expansion * width))))
        width = block.width
    graph = space.architecture(choices).graph
    model, greedy = lower(graph, 0), greedy_bytes(graph)
    reference = PLANS["overlap, reference"]
    planned = [plan_model(model, planning).planned_bytes for planning in (Planning(), reference)]
    return [size / greedy - 1 for size in (*planned, make_problem(model, reference.kernels).least_bytes)]


def _random(model: bytes) -> list[list[Any]]:
    """Five seeds of the harness's random inputs."""
    return [one for seed in range(5) for one in random_inputs(model, seed)][:INPUTS]


def _real_inputs(name: str, model: bytes, data: Path | None) -> list[list[Any]]:
    """The first official evaluation files as the network takes them; none where there are no data."""
    folder = data / DATA[name] if data is not None and name in DATA else None
    files = sorted(folder.glob("*.bin"))[:INPUTS] if folder is not None else []
    detail = input_detail(model) if files else None
    return [[_as_input(name, file, detail)] for file in files]


def _as_input(name: str, file: Path, detail: Any) -> Any:
    """The bytes that the benchmark's runner sends: int8 as they are, uint8 images less 128, float spectrograms."""
    raw = file.read_bytes()
    if name == "kws_ref_model":
        values = np.frombuffer(raw, np.int8)
    elif name == "ad01_int8":
        frames = np.frombuffer(raw, np.float32).reshape(-1, AD_BANDS)[:AD_FRAMES].reshape(-1)
        values = np.clip(np.round(frames / detail.scale) + detail.zero_point, -128, 127).astype(np.int8)
    else:
        values = (np.frombuffer(raw, np.uint8).astype(np.int16) - 128).astype(np.int8)
    return values.reshape(detail.shape)


def _file_table(records: list[Record], plans: Sequence[str]) -> Table:
    title = "published files: bytes of activations (head) and of the whole arena as the tflite-micro wheel reports them"
    table = Table(
        "file", "greedy head", "arena", *(f"{name}: head" for name in plans), "least arena", "same", title=title
    )
    for record in records:
        greedy, best = record["greedy"], min((record[name] for name in plans), key=lambda one: one["arena"])
        heads = [f"{record[name]['head']:,} ({record[name]['head'] / greedy['head'] - 1:.0%})" for name in plans]
        same = min(record[name]["same"] for name in plans)
        total = f"{same} of {record['inputs']} ({record['real']} real)"
        table.add_row(
            record["name"], f"{greedy['head']:,}", f"{greedy['arena']:,}", *heads, f"{best['arena']:,}", total
        )
    return table


def _space_table(records: list[Record], plans: Sequence[str]) -> Table:
    title = "random networks: activations against TFLM's greedy plan; 'same': networks whose outputs all stay the same"
    figures = ("mean", "bound", "best", "arena, mean", "same", "same maps", "replay", "predicted")
    table = Table("space", "networks", "plan", *figures, title=title)
    for space in dict.fromkeys(record["name"] for record in records):
        own = [record for record in records if record["name"] == space]
        for name in plans:
            heads = [one[name]["head"] / one["greedy"]["head"] - 1 for one in own]
            graphs = [load_space(space).sample(random.Random(one["seed"])).graph for one in own]
            kernels = PLANS[name].overlapping
            least = [make_problem(lower(graph, 0), kernels).least_bytes for graph in graphs]
            bounds = [size / one["greedy"]["head"] - 1 for size, one in zip(least, own, strict=True)]
            told = [(one.flash_bytes, one.sram_bytes) for one in (cost(graph, PLANS[name]) for graph in graphs)]
            arenas = [one[name]["arena"] / one["greedy"]["arena"] - 1 for one in own]
            counts = [
                sum(one[name]["same"] == one["inputs"] for one in own),
                sum(one["maps"][name] == MAP_INPUTS for one in own),
                sum(one[name]["safe"] for one in own),
                sum(costs == (one[name]["flash"], one[name]["arena"]) for costs, one in zip(told, own, strict=True)),
            ]
            table.add_row(
                space,
                str(len(own)),
                name,
                f"{np.mean(heads):.1%}",
                f"{np.mean(bounds):.1%}",
                f"{min(heads):.1%}",
                f"{np.mean(arenas):.1%}",
                *map(str, counts),
            )
    return table


if __name__ == "__main__":
    main()
