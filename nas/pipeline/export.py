"""Write the file that goes to the device: slimmed, and proved to compute the same bits as before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError, ValidationError
from nas.export.model_reader import read_model
from nas.export.savings import dropped_bytes
from nas.export.slim import slim
from nas.files import write_bytes
from nas.harness.identity import SAMPLES, Proof, prove_identical
from nas.harness.tflm import measure_arena
from nas.pipeline.cost import read_model_file
from nas.pipeline.plan import MeasuredPlan, with_measured_plan
from nas.pipeline.reporter import Reporter
from nas.plan.placement import DEFAULT_PLANNING, Planning, parse_planning
from nas.space.lookup import find_architecture


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    original_bytes: int
    flash_bytes: int
    dropped: Mapping[str, int]
    """Bytes of what was left out, by what it was; empty when nothing was."""
    proof: Proof | None
    """``None``: the file is as the converter wrote it."""
    planned: MeasuredPlan | None = None
    """What TFLM measures without and with a plan; ``None``: none was made."""

    def to_json(self) -> dict[str, Any]:
        """What ``nas export --json`` prints."""
        proof = self.proof
        return {
            "model": str(self.path),
            "original_bytes": self.original_bytes,
            "flash_bytes": self.flash_bytes,
            "saved_bytes": self.original_bytes - self.flash_bytes,
            "dropped": dict(self.dropped),
            "samples": proof.samples if proof else 0,
            "distinct_outputs": proof.distinct if proof else 0,
            "identical_in": list(proof.identical) if proof else [],
            "refused_by": dict(proof.refused) if proof else {},
            "activation_bytes": self.planned.arena.activation_bytes if self.planned else None,
            "plan_in_file": self.planned is not None and self.planned.plan.offsets is not None,
        }


def export_model(
    what: Path, slimmed: bool, out: Path | None, reporter: Reporter, planning: Planning | None = None
) -> Exported:
    """Slim a ``.tflite`` file and plan its memory, or convert the winner of a run again.

    Args:
        what: a ``.tflite`` file, its own or of any other tool, or a run folder.
        slimmed: ``False``, for a run only: keep the names and ranges that the converter wrote, which tools show.
        planning: how its memory is planned; ``None``: a file that has a plan keeps it, a run is planned as it was
            searched for, and anything else by default.
        out: default ``NAME.slim.tflite`` beside the input; of a run ``winner/model.tflite``, or ``model.full.tflite``.

    Raises:
        InputError: there is no such thing, it cannot be slimmed, or ``out`` cannot be written.
        DataError: the data set of the run, from which activation ranges are taken, is not there any more.
        ValidationError: outputs differ, or TFLM refuses the file. Nothing is written.
    """
    if what.is_dir():
        return _export_run(what, slimmed, out, reporter, planning)
    if not slimmed:
        raise InputError(f"--no-slim would only copy {what}: it is for a run folder, whose file is converted again")
    original = read_model_file(what)
    small, planned = _smaller(original, planning)
    return _write(original, small, planned, _free(out or what.with_suffix(".slim.tflite"), what), reporter)


def _smaller(original: bytes, planning: Planning | None) -> tuple[bytes, MeasuredPlan | None]:
    """The slim file, with a plan where it may have one and does not have it yet."""
    small, model = slim(original), read_model(original)
    if planning is None and (model.offline_offsets is not None or model.subgraphs > 1):
        measure_arena(small)  # what TFLM refuses is not written
        return small, None
    planned = with_measured_plan(small, planning or DEFAULT_PLANNING)
    return planned.model, planned


def _export_run(
    folder: Path, slimmed: bool, out: Path | None, reporter: Reporter, planning: Planning | None
) -> Exported:
    from nas.export.int8_file import write_int8
    from nas.export.onnx_file import check_onnx
    from nas.pipeline.quantize import FILE, convert_onnx, load
    from nas.pipeline.session import open_session
    from nas.tasks import TaskSettings, get_task

    run = RunFolder.open(folder)
    onnx, model = run.winner / "model.onnx", run.winner / "model.tflite"
    if not onnx.is_file():
        raise RunFolderError(f"the run in {folder} has nothing to convert yet: there is no {onnx}")
    path = _free(out or (model if slimmed else run.winner / "model.full.tflite"))
    architecture = find_architecture(str(folder))
    check_onnx(onnx, architecture.graph)
    record = run.record()
    asked = record.get("request", record)
    reporter.note("loading the data set of the run: activation ranges are taken from its training samples")
    data, settings = asked.get("data"), TaskSettings.from_json(asked.get("settings", {}))
    task = get_task(architecture.task, data, settings).fitted(architecture.input_shape)
    session = open_session(task, data, asked.get("seed", 0), "cpu", reporter)
    reporter.note("converting: ONNX, TFLite, INT8")
    original = convert_onnx(session, architecture.graph, onnx)
    if (run.winner / FILE).is_file():  # grids that the weights were trained on, which the converter does not know
        original = write_int8(original, load(run.winner / FILE, architecture.graph).to_int8(), names=True)
    if not slimmed:
        write_bytes(path, original)
        return Exported(path, len(original), len(original), {}, None)
    as_searched = parse_planning(asked.get("plan"), asked.get("kernels"))
    planned = with_measured_plan(slim(original), planning or as_searched)
    small = planned.model
    if path == model and model.is_file() and model.read_bytes() != small:
        raise ValidationError(
            f"converting again gives another file than {model}, which was validated: data or tools have changed\n"
            "nothing was written; --out FILE takes the new one"
        )
    return _write(original, small, planned, path, reporter)


def _free(path: Path, source: Path | None = None) -> Path:
    """A place that may be written: no folder, and not the input."""
    if path.is_dir():
        raise InputError(f"--out {path} is a folder: give a file name")
    if source is not None and path.resolve() == source.resolve():
        raise InputError(f"--out {path} is the input: give another file name")
    return path


def _write(original: bytes, small: bytes, planned: MeasuredPlan | None, path: Path, reporter: Reporter) -> Exported:
    reporter.note(f"comparing the outputs of both files on {SAMPLES} random inputs")
    proof = prove_identical(original, small)
    write_bytes(path, small)
    return Exported(path, len(original), len(small), dropped_bytes(original, small), proof, planned)
