"""``.tflite`` files."""

from __future__ import annotations

import os
import pickle
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fuzzing import mutation
from fuzzing.parser import MIB, ROOT, Parser, every, only, replaced, single

C_MODELS = ("offline_plan.tflite", "int4.tflite", "uint8_io.tflite", "model.tflite", "kws_ref_model.tflite")
"""Files for which there is C code, and some that come near it."""


def _models(largest: int) -> dict[str, bytes]:
    """Small files of every kind of operator, and real ones where there are any."""
    paths = sorted((ROOT / "tests/data/models").glob("*.tflite"))
    shared = Path(os.environ.get("NAS_SHARED_DATA", ROOT.parent / "shared" / "data")) / "models"
    paths += [ROOT / "exported/reference/kws-64kb/winner/model.tflite", *sorted(shared.glob("*.tflite"))]
    return {path.name: data for path in paths if len(data := path.read_bytes()) <= largest}


def _weigh(model: bytes) -> float:
    """A file of 64 KB is drawn for eight of 1 KB: it takes as many times longer."""
    return float(len(model) ** -0.5)


class Unpacked:
    """What was unpacked for one reader of an input, the next one gets a copy of.

    Each unpacks the file for itself, which is the same work over and over, and most of it all.
    """

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._unpack = schema, schema.ModelT.InitFromObj
        self._known: dict[bytes, bytes] = {}

    def __call__(self, root: Any) -> Any:
        """Instead of ``ModelT.InitFromObj``."""
        data = bytes(root._tab.Bytes)
        if (known := self._known.get(data)) is not None:
            return pickle.loads(known)
        tree = self._unpack(root)
        self._known[data] = pickle.dumps(tree, pickle.HIGHEST_PROTOCOL)
        return tree

    def reading(self) -> AbstractContextManager[None]:
        """For one input; of the last ones what there was is kept, as a run folder mostly holds the same model."""
        if len(self._known) > 8:
            self._known.clear()
        return replaced((self._schema.ModelT, "InitFromObj", self))


def tflite() -> Parser:
    """Readers of ``.tflite`` files: costs, slimming, details of inputs and outputs, the size of the arena."""
    from nas.cost.file_cost import report
    from nas.export.flatbuffer import input_detail, output_detail
    from nas.export.model_reader import read_model
    from nas.export.offline_plan import with_offline_plan
    from nas.export.savings import dropped_bytes
    from nas.export.slim import slim
    from nas.harness.tflm import ample_arena_bytes

    unpacked = Unpacked()

    def read(folder: Path) -> None:
        data = only(folder).read_bytes()
        with unpacked.reading():
            every(
                lambda: report(read_model(data)),
                lambda: dropped_bytes(data, slim(data)),
                lambda: (input_detail(data), output_detail(data)),
                lambda: ample_arena_bytes(data),
                lambda: with_offline_plan(data, None),
            )

    return Parser(*single(_models(80_000), mutation.mutate_flatbuffer, _weigh), read)


def plans() -> Parser:
    """Memory plans of ``.tflite`` files, replayed byte by byte, and the plans that stand in them."""
    from nas.export.model_reader import read_model
    from nas.pipeline.plan import check_file, with_plan
    from nas.plan.placement import DEFAULT_PLANNING, Kernels

    unpacked = Unpacked()

    def read(folder: Path) -> None:
        path = only(folder)
        data = path.read_bytes()
        with unpacked.reading():
            every(
                lambda: with_plan(data, DEFAULT_PLANNING),
                lambda: check_file(path, [Kernels.REFERENCE]),
                lambda: read_model(data),
            )

    return Parser(*single(_models(6_000), mutation.mutate_flatbuffer, _weigh), read, fixed_bytes=512 * MIB)


def c_source() -> Parser:
    """``nas export --c``: C code of ``.tflite`` files."""
    from nas.export.c.emit import write_c
    from nas.export.c.program import make_program

    unpacked = Unpacked()

    def read(folder: Path) -> None:
        with unpacked.reading():
            write_c(make_program(only(folder).read_bytes(), "model"), folder / "c")

    kept = {name: data for name, data in _models(80_000).items() if name in C_MODELS}
    return Parser(*single(kept, mutation.mutate_flatbuffer, _weigh), read)


def onnx() -> Parser:
    """``model.onnx`` of a run, as ``nas export RUN`` holds it against the network before it is converted."""
    from nas.export.onnx_file import check_onnx
    from nas.space.lookup import find_architecture

    folder = ROOT / "exported/reference"
    graphs = {name: find_architecture(str(folder / name)).graph for name in ("kws-64kb", "kws-256kb")}
    seeds = {f"{name}.onnx": (folder / name / "winner/model.onnx").read_bytes() for name in graphs}

    def read(folder: Path) -> None:
        path = only(folder)
        check_onnx(path, graphs[path.stem])

    return Parser(*single(seeds, mutation.mutate_onnx, _weigh), read)
