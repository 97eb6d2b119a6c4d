"""Are networks of every space computed bit for bit alike: TFLM, C on this machine, C on each emulated core?

    pip install 'mcu-nas[emulation]'; apt install gcc-arm-none-eabi qemu-system-arm
    python benchmarks/bit_exact.py --networks 10

Draws networks evenly from each space, with random weights and batch statistics of noise, exports each as a search does
(ONNX, onnx2tf, INT8), and runs the file in TensorFlow Lite Micro and its C code everywhere else on random inputs. QEMU
must count the same again, and what unicorn counts but for what reads its timer. Results stand in ``--out`` one by one;
the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from nas.export.c.emit import write_c
from nas.export.c.program import Program, make_program
from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import convert_int8
from nas.harness.cores import CORES, Core
from nas.harness.emulator import EmulatedCore
from nas.harness.firmware import build_image
from nas.harness.qemu import QemuCore
from nas.harness.tflm import TflmModel
from nas.models.network import build_network
from nas.space.graph import Graph
from nas.space.lookup import list_files, load_space

SEED = 0
SAMPLES = 20  # random inputs of each network
CALIBRATION = 64
DEVIATION = 3.0  # of each output before the softmax
MOST = 50.0  # times larger weights of the last layer
HOST = "host"
Int8Array = np.ndarray[Any, np.dtype[np.int8]]


def main() -> None:
    arguments = parse()
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    for space in arguments.spaces:
        there = sum(row["space"] == space for row in done)
        rng = random.Random(f"{space} {SEED}")
        drawn = [load_space(space).sample(rng) for _ in range(arguments.networks)]
        for architecture in track(drawn[there:], space, console=Console(stderr=True)):
            row = {"space": space, "summary": architecture.summary(), **measure(architecture.graph)}
            with arguments.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            done.append(row)
    Console().print(table([row for row in done if row["space"] in arguments.spaces]))


def measure(graph: Graph) -> dict[str, Any]:
    """Outputs that are equal to TFLM's, of ``SAMPLES``, by place; and how far counts are from each other."""
    model = exported(graph)
    tflm = TflmModel(model)
    inputs = different_inputs(tflm.input_shape[1:])
    expected = tflm.run(inputs)
    program = make_program(model, "net")
    places = {HOST: run_here(program, inputs)}
    counts: dict[str, Any] = {}
    for core in CORES.values():
        places[core.name], counts[core.name] = run_on(core, program, inputs)
    equal = {name: int((outputs == expected).all(axis=1).sum()) for name, outputs in places.items()}
    return {"equal": equal, "different_outputs": len(np.unique(expected, axis=0)), **difference(counts)}


def different_inputs(shape: tuple[int, ...]) -> Int8Array:
    """Noise of different range for each sample: (n, ...)."""
    rng, each = np.random.default_rng(SEED), (SAMPLES,) + (1,) * len(shape)
    values = rng.uniform(-100, 100, each) + rng.uniform(5, 100, each) * rng.standard_normal((SAMPLES, *shape))
    return np.clip(np.rint(values), -128, 127).astype(np.int8)


def exported(graph: Graph) -> bytes:
    """The INT8 file of a network with random weights."""
    generator = torch.Generator().manual_seed(SEED)
    height, width, channels = graph.shapes[0]
    each = (CALIBRATION, 1, 1, 1)
    noise = torch.randn(CALIBRATION, channels, height, width, generator=generator)
    noise = noise * (0.1 + torch.rand(each, generator=generator)) + torch.randn(each, generator=generator)
    network = build_network(graph, SEED)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.momentum = 1.0  # the statistics of this one batch
        network.train()(noise)
        spread_outputs(network.eval(), noise)
    calibration = np.ascontiguousarray(noise.permute(0, 2, 3, 1).numpy())
    with tempfile.TemporaryDirectory(prefix="nas-bits-") as name:
        onnx, model = Path(name, "model.onnx"), Path(name, "model.tflite")
        export_onnx(network, (height, width, channels), onnx)
        convert_int8(onnx, calibration, model)
        return slim(model.read_bytes())


def spread_outputs(network: nn.Module, noise: torch.Tensor) -> None:
    """Scale the last layer so that inputs are told apart, which an untrained network hardly does."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network(noise)
    hook.remove()
    factor = (DEVIATION / seen[0].std(0)).clamp(max=MOST)
    last.weight.mul_(factor[:, None])
    last.bias.sub_(seen[0].mean(0)).mul_(factor)


def run_here(program: Program, inputs: Int8Array) -> Int8Array:
    """Outputs (n, ...) of the C code, compiled for this machine."""
    with tempfile.TemporaryDirectory(prefix="nas-bits-") as name:
        folder = Path(name)
        write_c(program, folder)
        sources = [str(path) for path in folder.glob("*.c") if path.name != "main.c"]
        compiler = shutil.which("cc") or "cc"
        subprocess.run([compiler, "-std=c99", "-O2", "-shared", "-fPIC", *sources, "-o", f"{name}/net.so"], check=True)
        code = ctypes.CDLL(f"{name}/net.so")
    code.net_input.restype = code.net_output.restype = ctypes.c_void_p
    outputs = []
    for sample in inputs:
        ctypes.memmove(code.net_input(), sample.tobytes(), sample.size)
        code.net_run()
        outputs.append(ctypes.string_at(code.net_output(), program.bytes_of(program.output)))
    return np.frombuffer(b"".join(outputs), np.int8).reshape(len(inputs), -1)


def run_on(core: Core, program: Program, inputs: Int8Array) -> tuple[Int8Array, list[int]]:
    """Outputs, and the instructions of the first sample: by QEMU twice, and by unicorn where it has the core."""
    board = QemuCore(program, core)
    outputs, instructions, _ = board.measure(inputs)
    counts = [int(instructions[0]), int(board.measure(inputs[:1])[1][0])]
    if not core.unicorn:
        return outputs, counts
    emulated = EmulatedCore(program, build_image(program, core))
    both = np.where(emulated.run(inputs) == outputs, outputs, outputs + np.int8(1))  # equal only where both are
    return both, [*counts, emulated.count(inputs[:1]).instructions]


def difference(counts: dict[str, list[int]]) -> dict[str, Any]:
    """Whether every count was the same again, and how many instructions QEMU has more than unicorn, at most."""
    repeated = all(first == again for first, again, *_ in counts.values())
    pairs = [(count[0], count[2]) for count in counts.values() if len(count) == 3]
    more, shares = max(qemu - other for qemu, other in pairs), max(qemu / other - 1 for qemu, other in pairs)
    return {"repeated": repeated, "qemu_more": more, "qemu_share": shares}


def table(rows: list[dict[str, Any]]) -> Table:
    found = Table(title=f"networks whose outputs are TFLM's on all of {SAMPLES} random inputs")
    places = [HOST, *CORES]
    for column in ("space", "networks", *places, "same count again", "QEMU counts more, at most"):
        found.add_column(column, justify="left" if column == "space" else "right")
    for space in dict.fromkeys(row["space"] for row in rows):
        mine = [row for row in rows if row["space"] == space]
        exact = [str(sum(row["equal"][place] == SAMPLES for row in mine)) for place in places]
        repeated = str(sum(row["repeated"] for row in mine))
        more = f"{max(row['qemu_more'] for row in mine)} ({max(row['qemu_share'] for row in mine):.4%})"
        found.add_row(space, str(len(mine)), *exact, repeated, more)
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=list(list_files("search_spaces")), help="default: all")
    parser.add_argument("--networks", type=int, default=10, help="of each space")
    parser.add_argument("--out", type=Path, default=Path("bit_exact.jsonl"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
