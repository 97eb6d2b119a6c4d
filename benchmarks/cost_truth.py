"""Predicted flash and SRAM against the exported file and TensorFlow Lite Micro, on random networks of every space.

    python benchmarks/cost_truth.py --networks 200 --log truth.jsonl
    python benchmarks/cost_truth.py --networks 0 --models mlperf_tiny_models/

Networks have random weights: neither size depends on them. Each goes through the product's own steps (torch, ONNX,
onnx2tf, INT8 TFLite, slim file, memory plan) and is then run by TFLM; about 6 s each on one core. ``--log`` makes it
resumable. "greedy" is the activations of the same file without a plan.
Beside the prediction stands the naive estimate of SRAM, the most that one operator reads and writes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nas.cost.file_cost import report
from nas.cost.model import cost
from nas.cost.sram import greedy_bytes, head
from nas.export.model_reader import read_model
from nas.export.slim import slim
from nas.harness.identity import prove_identical
from nas.harness.stderr import captured_stderr
from nas.harness.tflm import TflmModel, measure_arena
from nas.model_file import ModelFile
from nas.pipeline.plan import with_plan
from nas.plan.placement import DEFAULT_PLANNING
from nas.space import Graph, list_files, load_space

Record = dict[str, Any]


def main() -> None:
    """Measure, then print one line per space and one per published file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200, help="random networks of each space")
    parser.add_argument("--spaces", nargs="*", default=sorted(list_files("search_spaces")))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--log", type=Path, help="file of results so far: one JSON object a line")
    parser.add_argument("--models", type=Path, help="folder of published .tflite files")
    options = parser.parse_args()
    wanted = [(space, seed) for space in options.spaces for seed in range(options.networks)]
    records = [record for record in _logged(options.log) if (record["space"], record["seed"]) in wanted]
    done = {(record["space"], record["seed"]) for record in records}
    for record in _measured([one for one in wanted if one not in done], options.jobs):
        records.append(record)
        if options.log is not None:
            with options.log.open("a") as file:
                file.write(json.dumps(record) + "\n")
    console = Console(width=130)
    if records:
        console.print(_space_table(records))
    if options.models is not None:
        console.print(_file_table(sorted(options.models.glob("*.tflite"))))


def _logged(log: Path | None) -> list[Record]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log is not None and log.exists() else []


def _measured(wanted: list[tuple[str, int]], jobs: int) -> Iterator[Record]:
    with get_context("spawn").Pool(jobs, maxtasksperchild=50) as pool:  # TensorFlow keeps some memory each time
        done = pool.imap_unordered(measure, wanted)
        yield from track(done, "exporting", total=len(wanted), console=Console(stderr=True))


def measure(network: tuple[str, int]) -> Record:
    """Predict and measure one random network, given by its space and seed."""
    space, seed = network
    architecture = load_space(space).sample(random.Random(seed))
    graph = architecture.graph
    with captured_stderr():  # TensorFlow's own words
        unplanned = exported(graph, architecture.input_shape)
    model, _ = with_plan(unplanned, DEFAULT_PLANNING)
    arena, predicted = measure_arena(model), cost(graph)
    TflmModel(model).run(np.zeros((1, *architecture.input_shape), np.int8))
    return {
        "space": space,
        "seed": seed,
        "flash": [predicted.flash_bytes, len(model)],
        "activations": [head(graph).size_bytes, arena.activation_bytes],
        "arena": [predicted.sram_bytes, arena.total_bytes],
        "greedy": [greedy_bytes(graph), measure_arena(unplanned).activation_bytes],
        "naive": _naive(graph),
    }


def exported(graph: Graph, input_shape: tuple[int, int, int]) -> bytes:
    """The slim INT8 file of a graph with random weights."""
    import tensorflow as tf
    import torch

    from nas.export import convert_worker
    from nas.export.onnx_export import export_onnx
    from nas.models.network import build_network

    torch.set_num_threads(1)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    noise = np.random.default_rng(0).standard_normal((2, *input_shape)).astype(np.float32)
    network = build_network(graph, seed=0)
    with torch.no_grad():
        network(torch.from_numpy(noise.transpose(0, 3, 1, 2)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_onnx(network, input_shape, folder / "model.onnx")
        np.save(folder / "calibration.npy", noise)
        (folder / "request.json").write_text(
            json.dumps({"onnx": str(folder / "model.onnx"), "input_quantization": None})
        )
        tf.keras.backend.clear_session()
        convert_worker.main(folder)
        return slim((folder / "model.tflite").read_bytes())


def _naive(graph: Graph) -> int:
    """Most that one operator reads and writes: what most tools take for SRAM."""
    return max(sum(graph.tensor_bytes(t) for t in (*op.inputs, op.output)) for op in graph.ops)


def _space_table(records: list[Record]) -> Table:
    title = "random networks, exported and run by TFLM (x86-64, reference kernels)"
    table = Table(
        "space",
        "networks",
        "flash equal",
        "plan equal",
        "arena equal",
        "greedy equal",
        "worst arena",
        "naive error: mean, worst",
        title=title,
    )
    for space in dict.fromkeys(record["space"] for record in records):
        own = [record for record in records if record["space"] == space]
        worst = max(abs(record["arena"][0] / record["arena"][1] - 1) for record in own)
        naive = [record["naive"] / record["arena"][1] - 1 for record in own]
        equal = {key: sum(r[key][0] == r[key][1] for r in own) for key in ("flash", "activations", "arena", "greedy")}
        table.add_row(
            space,
            str(len(own)),
            *(f"{count} of {len(own)}" for count in equal.values()),
            f"{worst:.3%}",
            f"{sum(naive) / len(naive):.1%}, {min(naive, key=lambda error: -abs(error)):.1%}",
        )
    return table


def _file_table(paths: list[Path]) -> Table:
    title = "published files (x86-64, reference kernels)"
    table = Table(
        "file", "bytes", "slim", "saved", "same bits in", "plan", "TFLM", "arena", "TFLM", "naive", title=title
    )
    for path in paths:
        model = path.read_bytes()
        parsed = read_model(model)
        found, arena, small = report(parsed), measure_arena(model), slim(model)
        same = prove_identical(model, small).identical
        naive = _naive_file(parsed)
        table.add_row(
            path.stem,
            f"{len(model):,}",
            f"{len(small):,}",
            f"{1 - len(small) / len(model):.1%}",
            f"{len(same)} runtimes",
            f"{found.activation_bytes:,}",
            f"{arena.activation_bytes:,}",
            f"{found.sram_bytes:,}",
            f"{arena.total_bytes:,}",
            f"{naive:,} ({naive / arena.total_bytes - 1:.1%})",
        )
    return table


def _naive_file(model: ModelFile) -> int:
    import math

    def size(index: int) -> int:
        tensor = model.tensors[index]
        return 0 if index < 0 or tensor.data_bytes else math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize

    return max(sum(map(size, (*op.inputs, *op.outputs))) for op in model.ops)


if __name__ == "__main__":
    main()
