"""Give a model a memory plan that is proved safe, or check the one that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.cost.cost_report import CostReport
from nas.cost.file_cost import report
from nas.errors import InputError, ValidationError
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.files import write_bytes
from nas.harness.identity import Proof, prove_identical
from nas.harness.tflm import ArenaReport, measure_arena
from nas.model_file import ModelFile
from nas.pipeline.cost import read_model_file
from nas.pipeline.reporter import Reporter
from nas.plan.greedy import tflm_placements
from nas.plan.placement import Kernels, Placement, PlanKind, Planning
from nas.plan.planner import Plan, plan_model
from nas.plan.replay import verify
from nas.report.memory_plot import FORMATS
from nas.report.plan_plot import render_plan_plot

TFLM_ALONE = Planning(PlanKind.GREEDY)


@dataclass(frozen=True, slots=True)
class Planned:
    """A file with a memory plan, and what was measured and proved of it."""

    path: Path
    planning: Planning
    plan: Plan
    before: CostReport
    """Of the file as it was, but without a plan of its own: as TFLM plans."""
    after: CostReport
    arena_before: ArenaReport
    arena: ArenaReport
    """Both measured by TFLM on this machine."""
    proof: Proof
    reference_bytes: int
    """Activations that a plan for the reference kernels alone would need."""

    def to_json(self) -> dict[str, Any]:
        """What ``nas plan --json`` prints."""
        return {
            "model": str(self.path),
            "plan": self.planning.kind.value,
            "kernels": [kernels.value for kernels in self.planning.kernels],
            "in_file": self.plan.offsets is not None,
            "reordered": self.plan.reordered,
            "activation_bytes": {"before": self.arena_before.activation_bytes, "after": self.arena.activation_bytes},
            "sram_bytes": {"before": self.arena_before.total_bytes, "after": self.arena.total_bytes},
            "flash_bytes": {"before": self.before.flash_bytes, "after": self.after.flash_bytes},
            "samples": self.proof.samples,
            "distinct_outputs": self.proof.distinct,
            "identical_in": list(self.proof.identical),
            "refused_by": dict(self.proof.refused),
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """A plan that stands in a file and that was found safe."""

    path: Path
    kernels: tuple[Kernels, ...]
    planned_tensors: int
    activation_bytes: int

    def to_json(self) -> dict[str, Any]:
        """What ``nas plan --check --json`` prints."""
        return {
            "model": str(self.path),
            "safe_on": [kernels.value for kernels in self.kernels],
            "planned_tensors": self.planned_tensors,
            "activation_bytes": self.activation_bytes,
        }


def plan_file(model: Path, planning: Planning, out: Path | None, plot: Path | None, reporter: Reporter) -> Planned:
    """Plan the memory of a ``.tflite`` file of any tool, prove the plan, and write the slimmed file with it.

    Args:
        model: the file; a plan that it has is replaced.
        planning: what the plan may do, and for which kernels.
        out: default ``NAME.plan.tflite`` beside the input.
        plot: where to draw both plans, if anywhere.

    Raises:
        InputError: no such model, one that cannot be planned or slimmed, or a place that cannot be written.
        ValidationError: the plan is not safe, outputs differ, or TFLM refuses the model. Nothing is written.
    """
    path = out or model.with_suffix(".plan.tflite")
    if path.is_dir() or path.resolve() == model.resolve():
        raise InputError(f"--out {path} is {'a folder' if path.is_dir() else 'the input'}: give another file name")
    kind = _plot_format(plot)
    original = read_model_file(model)
    unplanned = with_offline_plan(original, None)
    before = read_model(unplanned)
    planned = with_measured_plan(unplanned, planning)
    small, plan = planned.model, planned.plan
    reporter.note("running both files in every runtime: outputs must be identical")
    proof = prove_identical(unplanned, small)
    after = read_model(small)
    result = Planned(
        path=path,
        planning=planning,
        plan=plan,
        before=report(before),
        after=report(after),
        arena_before=planned.arena_before,
        arena=planned.arena,
        proof=proof,
        reference_bytes=plan_model(before, Planning(kernels=(Kernels.REFERENCE,))).planned_bytes,
    )
    write_bytes(path, small)
    if plot is not None:
        write_bytes(plot, _picture(model.name, before, after, kind))
    return result


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """A model with a plan that TFLM measures less memory with, or without one."""

    model: bytes
    plan: Plan
    arena_before: ArenaReport
    """Without a plan in the file."""
    arena: ArenaReport


def with_measured_plan(model: bytes, planning: Planning) -> MeasuredPlan:
    """Plan a model's memory, and keep the plan if TFLM itself finds that it saves some.

    Operators that nothing is known of may take memory of their own, which a plan cannot see.

    Raises:
        InputError: the model cannot be planned.
        ValidationError: the verifier finds the plan unsafe, or TFLM refuses the model.
    """
    unplanned = with_offline_plan(model, None)
    before = measure_arena(unplanned)
    planned, plan = with_plan(unplanned, planning)
    if plan.offsets is not None:
        arena = measure_arena(planned)
        if arena.total_bytes < before.total_bytes:
            return MeasuredPlan(planned, plan, before, arena)
    return MeasuredPlan(unplanned, plan_model(read_model(unplanned), TFLM_ALONE), before, before)


def with_plan(model: bytes, planning: Planning) -> tuple[bytes, Plan]:
    """A slim model with the best plan that was found; as it is where TFLM does as well by itself.

    Raises:
        InputError: the model cannot be planned.
        ValidationError: the verifier finds the plan unsafe.
    """
    parsed = read_model(model)
    plan = plan_model(parsed, planning)
    require_safe(plan.apply(parsed), plan.placements, planning.kernels)
    if plan.offsets is None and parsed.offline_offsets is None:
        return model, plan
    return with_offline_plan(model, plan.offsets, plan.order), plan


def check_file(model: Path, kernels: Sequence[Kernels]) -> Checked:
    """Replay the plan that a file has.

    Raises:
        InputError: no such model, or one without a plan.
        ValidationError: the plan is not safe.
    """
    parsed = read_model(read_model_file(model))
    if parsed.offline_offsets is None:
        raise InputError(f"{model} has no memory plan to check: nas plan {model} makes one")
    costs = report(parsed)
    require_safe(parsed, costs.placements, kernels)
    planned = sum(offset >= 0 for offset in parsed.offline_offsets)
    return Checked(model, tuple(kernels), planned, costs.activation_bytes)


def require_safe(model: ModelFile, placements: Sequence[Placement], kernels: Sequence[Kernels]) -> None:
    """Replay every operator on a plan, byte by byte.

    Raises:
        ValidationError: names the first byte that is lost.
    """
    for one in kernels:
        violation = verify(model, placements, one)
        if violation is not None:
            raise ValidationError(f"the memory plan is not safe on {one.value} kernels: {violation.describe(model)}")


def _plot_format(plot: Path | None) -> str:
    kind = "" if plot is None else plot.suffix.removeprefix(".").lower()
    if plot is not None and (kind not in FORMATS or plot.is_dir()):
        raise InputError(f"--plot {plot}: give a file name that ends in .{', .'.join(FORMATS)}")
    return kind


def _picture(name: str, before: ModelFile, after: ModelFile, kind: str) -> bytes:
    first, second = ([op.kind for op in model.ops] for model in (before, after))
    return render_plan_plot(tflm_placements(before), tflm_placements(after), first, second, name, kind)
