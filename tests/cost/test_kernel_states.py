"""What each kernel keeps is what TensorFlow Lite Micro says, wherever in the arena it comes to stand.

Sizes are rounded up there, to 16 bytes as a rule, so that one model of a kind tells them only roughly. Of each operator
of the made models there are four here, in which 0 to 3 others, of four bytes of parameters, come first; what has
parameters of single bytes is there up to four times. In one of them a byte more would be seen.
"""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from nas.cost.file_memory import persistent_bytes
from nas.cost.tflm_sizes import KERNELS
from nas.export.flatbuffer import load, operator_name
from nas.export.model_reader import read_model
from nas.model_file import ModelFile
from nas.plan.greedy import planned_bytes, tflm_placements
from nas.processes import environment

MODELS = Path(__file__).parents[1] / "data" / "models"
OTHERS = range(4)
ODD = {"BATCH_MATMUL", "CUMSUM", "MEAN", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SUM"}
ODD |= {"REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN"}
REPORT = """
import os, sys
from pathlib import Path
from tflite_micro import runtime
for path in Path(sys.argv[1]).iterdir():
    os.write(2, f"== {path.name}\\n".encode())
    runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 20).print_allocations()
"""


def alone(tree: Any, number: int, times: int, others: int) -> bytes:
    """A model of one operator, so many times, and of others before it that ask for the shape of what it reads."""
    tree = copy.deepcopy(tree)
    graph = tree.subgraphs[0]
    operator = graph.operators[number]
    read = activations(tree, operator)
    graph.inputs, graph.outputs, graph.operators = read, [*operator.outputs], times * [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SHAPE
    tree.operatorCodes.append(code)
    for _ in range(others):
        shape = schema.TensorT()
        shape.name, shape.type, shape.buffer = b"shape", schema.TensorType.INT32, 0
        shape.shape = [len(graph.tensors[read[0]].shape)]
        graph.tensors.append(shape)
        asks = schema.OperatorT()
        asks.opcodeIndex, asks.inputs, asks.outputs = len(tree.operatorCodes) - 1, [read[0]], [len(graph.tensors) - 1]
        asks.builtinOptionsType, asks.builtinOptions = schema.BuiltinOptions.ShapeOptions, schema.ShapeOptionsT()
        asks.builtinOptions.outType = schema.TensorType.INT32
        graph.operators.insert(0, asks)
        graph.outputs.append(asks.outputs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def activations(tree: Any, operator: Any) -> list[int]:
    """What it reads that is no constant and no state; some read nothing else."""
    tensors = tree.subgraphs[0].tensors
    read = [i for i in dict.fromkeys(operator.inputs) if i >= 0]
    return [i for i in read if not tensors[i].isVariable and tree.buffers[tensors[i].buffer].data is None]


@cache
def measured() -> dict[str, list[tuple[ModelFile, int, int]]]:
    """Operator kind -> models of one such operator, with the head and the tail of the arena by TFLM."""
    found: dict[str, list[tuple[ModelFile, int, int]]] = {}
    kinds, models = {}, {}
    with TemporaryDirectory() as folder:
        for path in sorted(MODELS.glob("*.tflite")):
            if path.stem in ("custom", "offline_plan"):  # TFLM has no such operator; offsets for just these tensors
                continue
            tree = load(path.read_bytes())
            for number, operator in enumerate(tree.subgraphs[0].operators):
                kind = operator_name(tree, operator)
                around = product(range(1, 5) if kind in ODD else (1,), OTHERS if activations(tree, operator) else (0,))
                for times, others in around:
                    name = f"{path.stem}-{number}-{times}-{others}"
                    kinds[name], models[name] = kind, alone(tree, number, times, others)
                    Path(folder, name).write_bytes(models[name])
        done = subprocess.run(
            [sys.executable, "-c", REPORT, folder], env=environment(), capture_output=True, text=True, check=True
        )
    told = re.split(r"^== (.*)\n", done.stderr, flags=re.MULTILINE)[1:]
    for name, report in zip(told[::2], told[1::2], strict=True):
        head, tail = (int(re.findall(rf"Arena allocation {part} (\d+) bytes", report)[0]) for part in ("head", "tail"))
        found.setdefault(kinds[name], []).append((read_model(models[name]), head, tail))
    return found


@pytest.mark.slow
def test_every_kind_is_measured() -> None:
    assert set(measured()) == set(KERNELS)


@pytest.mark.parametrize("kind", sorted(KERNELS))
def test_the_arena_is_that_of_tflm(kind: str) -> None:
    for model, head, tail in measured()[kind]:
        assert persistent_bytes(model) == tail
        assert planned_bytes(tflm_placements(model)) == head
