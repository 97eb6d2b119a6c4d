"""What a model, a network or a search space costs, and which microcontrollers it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.budget import McuSpec, ProfileSpec, list_mcus, list_profiles
from nas.cost.cost_report import CostReport
from nas.cost.file_cost import report
from nas.cost.flash import flash_bytes
from nas.cost.instructions import modelled_instructions
from nas.cost.latency import Latency
from nas.cost.lowering import lower
from nas.cost.model import Cost
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, ValidationError
from nas.export.flatbuffer import FILE_IDENTIFIER
from nas.export.model_reader import read_model
from nas.export.slim import slim
from nas.files import write_bytes
from nas.harness.tflm import ArenaReport, measure_arena
from nas.model_file import ModelFile
from nas.plan.planner import plan_model
from nas.report.memory_plot import FORMATS, render_memory_plot
from nas.space import Architecture, list_files, load_space
from nas.space.graph import Graph
from nas.space.lookup import find_architecture

OPS_DEFINITION = "2 per multiply-accumulate of convolutions and matrix products; no others"


@dataclass(frozen=True, slots=True)
class Fit:
    """How much of one microcontroller's or profile's budget a model takes."""

    name: str
    used: Mapping[str, float]
    """Share of every bound that is set: ``flash_bytes``, ``sram_bytes``, ``ops``."""
    latency: Latency | None = None
    """Of our C code there, modelled; ``None``: not known."""

    @property
    def fits(self) -> bool:
        """Whether no bound is exceeded."""
        return all(share <= 1 for share in self.used.values())


@dataclass(frozen=True, slots=True)
class ModelCost:
    """The costs of one model or network."""

    name: str
    report: CostReport
    slim_flash_bytes: int | None
    """Size of the file without the bytes that no runtime reads; ``None``: slimming does not carry it."""
    planned_sram_bytes: int | None
    """Arena with the plan that ``nas plan`` writes by default; ``None``: it cannot be planned."""
    fits: tuple[Fit, ...]
    instructions: Mapping[str, int] = field(default_factory=dict)
    """Core -> instructions of one inference of our C code, modelled; empty where only the file is known."""
    arena: ArenaReport | None = None
    """Measured by TFLM on this machine; ``None``: there is no file, or TFLM refuses it."""
    refusal: str | None = None
    """Why TFLM refuses the file, which then fits nothing; ``None``: it does not, or was not asked."""

    @property
    def fitting(self) -> list[str]:
        """Names of what it fits; none where the totals are only lower bounds, or TFLM refuses the file."""
        if self.report.unsupported or self.refusal:
            return []
        return [fit.name for fit in self.fits if fit.fits]

    def totals(self) -> dict[str, Any]:
        """Every figure of the whole model."""
        found = self.report
        return {
            "flash_bytes": found.flash_bytes,
            "slim_flash_bytes": self.slim_flash_bytes,
            "sram_bytes": found.sram_bytes,
            "planned_sram_bytes": self.planned_sram_bytes,
            "activation_bytes": found.activation_bytes,
            "persistent_bytes": found.persistent_bytes,
            "measured_sram_bytes": self.arena and self.arena.total_bytes,
            "refused_by_tflm": self.refusal,
            "sram_32bit_bytes": found.sram_32bit_bytes,
            "ops": found.ops,
            "macs": found.macs,
            "instructions": dict(self.instructions),
            "latency_ms": {fit.name: fit.latency.to_json() for fit in self.fits if fit.latency},
            "params": found.params,
            "peak_layer": found.peak,
            "unsupported": list(found.unsupported),
            "fits": self.fitting,
        }

    def to_json(self) -> dict[str, Any]:
        """What ``nas cost --json`` prints; ``peak_layer`` indexes ``layers``."""
        return {"name": self.name, **self.totals(), "layers": [asdict(layer) for layer in self.report.layers]}


@dataclass(frozen=True, slots=True)
class SpaceCost:
    """The costs of the two ends of a search space."""

    name: str
    task: str
    networks: int
    smallest: ModelCost
    largest: ModelCost

    def to_json(self) -> dict[str, Any]:
        """What ``nas cost --json`` prints of a space."""
        ends = {"smallest": self.smallest.totals(), "largest": self.largest.totals()}
        return {"space": self.name, "task": self.task, "networks": self.networks, **ends}


def find_cost(what: str) -> ModelCost | SpaceCost:
    """The costs of a ``.tflite`` file, a run folder, an ``arch.json``, a space, or ``SPACE:POINT``.

    Example:
        ``find_cost("kws_ds_cnn:mlperf-ds-cnn").report.ops == 5_313_536``

    Raises:
        InputError: there is no such thing, or it is none of these.
    """
    path = Path(what)
    if path.is_dir():
        return _run_cost(path)
    if path.suffix == ".tflite" or (path.is_file() and _is_tflite(path)):
        return _file_cost(path.name, read_model_file(path))
    if path.suffix == ".toml" or what in list_files("search_spaces"):
        return _space_cost(what)
    if path.suffix == ".json" or (":" in what and not path.exists()):
        return _network_cost(what, find_architecture(what))
    if path.exists():
        raise InputError(f"{what}: cannot tell what it is by {path.suffix or 'no suffix'!r}; .tflite, .json, .toml can")
    raise InputError(
        f"no model, run or space {what!r}: give a .tflite file, a run folder, an arch.json, SPACE:POINT or a space\n"
        f"spaces: {', '.join(list_files('search_spaces'))}"
    )


def _is_tflite(path: Path) -> bool:
    """Whether a file says of itself that it is one, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] == FILE_IDENTIFIER


def write_plot(found: ModelCost | SpaceCost, path: Path) -> None:
    """Draw SRAM over time into a file of the kind that its suffix names.

    Raises:
        InputError: another suffix, a space instead of one network, or a folder that cannot be written.
    """
    file_format = path.suffix.removeprefix(".").lower()
    if file_format not in FORMATS:
        raise InputError(f"--plot {path}: cannot draw {path.suffix!r}; it can be .{', .'.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"--plot {path} is a folder: give a file name")
    if isinstance(found, SpaceCost):
        raise InputError(f"--plot draws one network, and {found.name} is a space: give {found.name}:POINT")
    write_bytes(path, render_memory_plot(found.report, found.name, file_format))


def read_model_file(path: Path) -> bytes:
    """The bytes of a ``.tflite`` file.

    Raises:
        InputError: there is none.
    """
    if not path.is_file():
        raise InputError(f"no model {path}: there is no such file")
    return path.read_bytes()


def _run_cost(folder: Path) -> ModelCost:
    """Of the exported winner; its layers have no names in the file, but in the architecture."""
    model = RunFolder.open(folder).model_file().read_bytes()
    architecture = find_architecture(str(folder))
    found = _file_cost(str(folder), model, architecture)
    return _timed(found, architecture.graph)


def _file_cost(name: str, content: bytes, architecture: Architecture | None = None) -> ModelCost:
    model = read_model(content)
    if architecture is not None:
        model = _with_names(model, architecture)
    try:
        slim_bytes = len(slim(content))
    except InputError:
        slim_bytes = None
    try:
        return _cost(name, model, slim_bytes, measure_arena(content))
    except ValidationError as error:
        return replace(_cost(name, model, slim_bytes), refusal=str(error))


def _with_names(model: ModelFile, architecture: Architecture) -> ModelFile:
    ops = architecture.graph.ops
    if [op.kind for op in model.ops] != [op.kind.value for op in ops]:
        return model
    return replace(model, ops=tuple(replace(op, name=own.name) for op, own in zip(model.ops, ops, strict=True)))


def _network_cost(name: str, architecture: Architecture) -> ModelCost:
    """With the memory plan that our exporter writes by default."""
    graph = architecture.graph
    plan = plan_model(lower(graph, 0))
    size = flash_bytes(graph, plan.offsets is not None)
    found = _cost(name, plan.apply(lower(graph, size)), size)
    return _timed(found, graph)


def _space_cost(name: str) -> SpaceCost:
    space = load_space(name)
    smallest, largest = (
        _network_cost(f"{space.name}, {end}", network)
        for end, network in (("smallest", space.smallest()), ("largest", space.largest()))
    )
    return SpaceCost(space.name, space.task, space.size, smallest, largest)


def _cost(name: str, model: ModelFile, slim_bytes: int | None, arena: ArenaReport | None = None) -> ModelCost:
    found = report(model)
    cost = Cost(found.flash_bytes, arena.total_bytes if arena else found.sram_bytes, found.ops)
    specs: list[ProfileSpec | McuSpec] = [*list_profiles(), *list_mcus()]
    fits = tuple(Fit(spec.name, spec.limits().used(cost)) for spec in specs)
    return ModelCost(name, found, slim_bytes, _planned_sram_bytes(model, found), fits, arena=arena)


def _timed(found: ModelCost, graph: Graph) -> ModelCost:
    """With instructions and latency, which follow from the graph."""
    counts = modelled_instructions(graph)
    times = {
        spec.name: clock.latency(counts[clock.core.name])
        for spec in list_mcus()
        if (clock := spec.clock()) is not None and clock.core.name in counts
    }
    fits = tuple(replace(fit, latency=times.get(fit.name)) for fit in found.fits)
    return replace(found, instructions=counts, fits=fits)


def _planned_sram_bytes(model: ModelFile, found: CostReport) -> int | None:
    try:
        return min(plan_model(model).planned_bytes, found.activation_bytes) + found.persistent_bytes
    except InputError:
        return None
