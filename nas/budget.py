"""What a network may cost: flags and constraint files in, violations out, and whether anything can fit at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from nas.cost.flash import flash_bytes
from nas.cost.heaviest import heaviest_layer
from nas.cost.instructions import FOLDER, instructions, load_core
from nas.cost.latency import Clock, Latency
from nas.cost.minimum import MOST_POINTS, Minimum, find_within, minimum
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.errors import InfeasibleError, InputError
from nas.plan.placement import DEFAULT_PLANNING, Planning
from nas.space import Architecture, SearchSpace
from nas.space.lookup import find_file, list_files
from nas.space.spec import Name, Table, read_toml
from nas.units import cost_flag, format_bytes, format_ops

Bytes = Annotated[int, Field(ge=1)]


class MemorySpec(Table):
    """``[memory]`` of a constraint file, in bytes. Reserved is what runtime, stack and application take."""

    flash: Bytes
    sram: Bytes
    reserved_flash: Annotated[int, Field(ge=0)]
    reserved_sram: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _something_left(self) -> MemorySpec:
        for kind in ("flash", "sram"):
            reserved, there_is = getattr(self, f"reserved_{kind}"), getattr(self, kind)
            if reserved >= there_is:
                raise ValueError(f"reserved_{kind}: {reserved:,} of {there_is:,} bytes leave nothing")
        return self


class McuSpec(Table):
    """A constraint file with a ``[memory]`` table: one microcontroller."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    core: str
    clock_hz: Annotated[int, Field(ge=1)]
    source: str
    memory: MemorySpec
    external_flash: bool = False
    """Code runs from a flash outside of the chip, whose waits are in no measurement of cycles."""

    def limits(self) -> Budget:
        """What is left for a model: flash and SRAM less the reserved parts."""
        memory = self.memory
        return Budget(memory.flash - memory.reserved_flash, memory.sram - memory.reserved_sram, clock=self.clock())

    def clock(self) -> Clock | None:
        """What turns instructions into time; ``None`` where it is not known how many cycles they take."""
        name = self.core.lower()
        if self.external_flash or name not in list_files(FOLDER):
            return None
        core = load_core(name)
        return None if core.cycles is None else Clock(core, core.cycles, self.clock_hz)


class BoundsSpec(Table):
    """``[budget]`` of a profile: what a model may take, in bytes and ops; an absent bound is none."""

    flash: Bytes | None = None
    sram: Bytes | None = None
    ops: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _something_bound(self) -> BoundsSpec:
        if self.flash is None and self.sram is None and self.ops is None:
            raise ValueError("at least one of flash, sram, ops must be given")
        return self


class ProfileSpec(Table):
    """A constraint file with a ``[budget]`` table: bounds with a name, and no chip behind them."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    description: str
    source: str
    budget: BoundsSpec

    def limits(self) -> Budget:
        """The bounds as they are; nothing is reserved."""
        return Budget(self.budget.flash, self.budget.sram, self.budget.ops)


class _Kind(Table):
    """As much of a constraint file as tells a profile from a microcontroller."""

    model_config = ConfigDict(extra="ignore")

    budget: Any = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper bounds; ``None`` is no bound. Definitions as in ``nas.cost``: file bytes, arena bytes, 2 ops per MAC."""

    flash_bytes: int | None = None
    sram_bytes: int | None = None
    ops: int | None = None
    latency_ms: float | None = None
    planning: Planning = DEFAULT_PLANNING
    """How memory is planned, on which SRAM depends."""
    clock: Clock | None = field(default=None, compare=False)
    """Of the microcontroller, where it is known; with ``latency_ms`` it is."""

    def bounds(self) -> dict[str, int]:
        """The bounds that are set and that a cost is compared with, by the name of the cost."""
        latency_us = None if self.latency_ms is None else round(self.latency_ms * 1000)
        exact = {
            "flash_bytes": self.flash_bytes,
            "sram_bytes": self.sram_bytes,
            "ops": self.ops,
            "latency_us": latency_us,
        }
        return {name: bound for name, bound in exact.items() if bound is not None}

    def violations(self, found: Cost) -> dict[str, int]:
        """Name of each bound that ``found`` exceeds, and the cost found."""
        return {name: getattr(found, name) for name, bound in self.bounds().items() if getattr(found, name) > bound}

    def fits(self, found: Cost) -> bool:
        """Whether ``found`` is within every bound."""
        return not self.violations(found)

    def cost(self, architecture: Architecture) -> Cost:
        """The predicted costs of a network; latency where it is bound."""
        return cost(architecture.graph, self.planning, self.timed)

    def latency(self, architecture: Architecture) -> Latency | None:
        """Modelled for the microcontroller, where that is known, bound or not."""
        count = self.clock and instructions(architecture.graph, self.clock.core)
        return self.clock.latency(count) if self.clock and count else None

    @property
    def timed(self) -> Clock | None:
        """The clock where latency is bound: it takes longer than the other costs."""
        return None if self.latency_ms is None else self.clock

    def admits(self, architecture: Architecture) -> bool:
        """Whether the predicted costs of a network are within every bound."""
        graph = architecture.graph
        latency = 0 if self.timed is None else int(self.timed.microseconds(graph))
        size = int(flash_bytes(graph, model=self.planning.flash))
        least = Cost(size, 0, int(ops(graph)), latency)  # at once; a memory plan takes milliseconds
        return self.fits(least) and self.fits(self.cost(architecture))

    def used(self, found: Cost) -> dict[str, float]:
        """Share of each bound that ``found`` takes."""
        return {name: getattr(found, name) / bound for name, bound in self.bounds().items()}

    def divided(self, divisor: int) -> Budget:
        """The same share of every bound that is set."""
        return replace(
            self,
            flash_bytes=self.flash_bytes and self.flash_bytes // divisor,
            sram_bytes=self.sram_bytes and self.sram_bytes // divisor,
            ops=self.ops and self.ops // divisor,
            latency_ms=self.latency_ms and self.latency_ms / divisor,
        )

    def with_bound(self, name: str, bound: float) -> Budget:
        """The same with another bound on a cost, by its name in ``bounds``."""
        if name == "latency_us":
            return replace(self, latency_ms=bound / 1000)
        exact: dict[str, Any] = {name: int(bound)}
        return replace(self, **exact)

    def to_json(self) -> dict[str, float | None]:
        """Every bound, also the absent ones."""
        return {name: getattr(self, name) for name in ("flash_bytes", "sram_bytes", "ops", "latency_ms")}


def make_budget(
    mcu: str | None = None,
    *,
    flash_bytes: int | None = None,
    sram_bytes: int | None = None,
    ops: int | None = None,
    latency_ms: float | None = None,
    planning: Planning = DEFAULT_PLANNING,
    may_be_open: bool = False,
) -> Budget:
    """A budget from the file of an MCU or a profile, tightened or replaced by explicit bounds.

    Raises:
        InputError: no bound at all, unless it ``may_be_open``; no such MCU; or a latency on one whose cycles per
            instruction are not known.
    """
    spec = load_mcu(mcu) if mcu is not None else None
    given = spec.limits() if spec is not None else Budget()
    bounds = flash_bytes or given.flash_bytes, sram_bytes or given.sram_bytes, ops or given.ops
    budget = Budget(*bounds, latency_ms, planning, given.clock)
    if latency_ms is not None and budget.clock is None:
        known = [one.name for one in list_mcus() if one.clock() is not None]
        asked = "--latency needs --mcu" if spec is None else f"nothing is known of the latency on {spec.name}"
        raise InputError(f"{asked}: give --ops instead, or one of --mcu {', '.join(known)}")
    if not budget.bounds() and not may_be_open:
        raise InputError(
            "no budget: give --flash, --sram, --ops or --mcu, for example --flash 256KB (nas mcus lists the MCUs)"
        )
    return budget


def load_mcu(name: str) -> McuSpec | ProfileSpec:
    """Read a constraint file, of a microcontroller or a profile, by name or path."""
    return _read(find_file("constraints", name))


def list_mcus() -> list[McuSpec]:
    """Every microcontroller that is found, by name."""
    return [spec for spec in _read_all() if isinstance(spec, McuSpec)]


def list_profiles() -> list[ProfileSpec]:
    """Every budget profile that is found, by name."""
    return [spec for spec in _read_all() if isinstance(spec, ProfileSpec)]


def _read_all() -> list[McuSpec | ProfileSpec]:
    return [_read(path) for _, path in sorted(list_files("constraints").items())]


def _read(path: Path) -> McuSpec | ProfileSpec:
    """A file with a ``[budget]`` table is a profile, any other a microcontroller."""
    if read_toml(path, _Kind).budget is None:
        return read_toml(path, McuSpec)
    return read_toml(path, ProfileSpec)


def reachable(space: SearchSpace, budget: Budget) -> Architecture:
    """A network of the space that keeps within every bound of the budget at once.

    Raises:
        InfeasibleError: there is none; names each bound that cannot be met, the least that the space needs, the layer
            that needs most of it, and the nearest budget that works.
    """
    found, proved = find_within(space, budget.bounds(), budget.planning, budget.timed)
    if found is not None:
        return found
    least = {name: minimum(space, name, None, budget.planning, budget.timed) for name in budget.bounds()}
    broken = {name: one for name, one in least.items() if one is not None and one.at_least > budget.bounds()[name]}
    if broken or not proved:
        raise _too_small(space, budget, broken)
    alone = all(one is not None and getattr(one.cost, name) <= budget.bounds()[name] for name, one in least.items())
    raise _not_together(space, budget, alone)


def _too_small(space: SearchSpace, budget: Budget, broken: dict[str, Minimum]) -> InfeasibleError:
    """Bounds that no network of the space meets, each by itself."""
    if not broken:
        return InfeasibleError(
            f"budget infeasible as far as {space.name} was searched: no network among {MOST_POINTS:,} is within "
            f"{_asked(budget, budget.bounds())}\ngive more room, or a smaller space"
        )
    smallest = next(iter(broken.values())).architecture
    needs = ", ".join(
        f"{cost_flag(name)} {_show(name, one.at_least)}, most at {_heaviest(one, name, budget)}"
        for name, one in broken.items()
    )
    least = {name: getattr(one.cost, name) for name, one in broken.items()}
    together, _ = find_within(space, budget.bounds() | least, budget.planning, budget.timed)
    if together is None:
        least = budget.violations(budget.cost(space.smallest()))
    nearest = _nearest(least)
    return InfeasibleError(
        f"budget infeasible: {_asked(budget, broken)}, but the smallest network of {space.name} "
        f"({smallest.summary()}) needs {needs}\nnearest feasible budget: {nearest}"
    )


def _not_together(space: SearchSpace, budget: Budget, each_alone: bool) -> InfeasibleError:
    """Bounds that no network meets all at once."""
    bounds = budget.bounds()
    alternatives = []
    for name in bounds:
        others = {other: bound for other, bound in bounds.items() if other != name}
        one = minimum(space, name, others, budget.planning, budget.timed)
        if one is not None:
            alternatives.append(_nearest({name: getattr(one.cost, name)}))
    alternatives = alternatives or [_nearest(budget.violations(budget.cost(space.smallest())))]
    though = ", though each can be met alone" if each_alone else ""
    return InfeasibleError(
        f"budget infeasible: no network of {space.name} keeps within {_asked(budget, bounds)} at once{though}\n"
        f"nearest feasible budget: {' or '.join(alternatives)}, the rest as it is"
    )


def _heaviest(one: Minimum, name: str, budget: Budget) -> str:
    return heaviest_layer(one.architecture.graph, name, budget.planning, budget.timed)


def _asked(budget: Budget, names: Iterable[str]) -> str:
    return ", ".join(f"--{cost_flag(name)} {_show(name, budget.bounds()[name])}" for name in names)


def _nearest(values: dict[str, int]) -> str:
    return " ".join(f"--{cost_flag(name)} {_round_up(name, value)}" for name, value in values.items())


def _show(name: str, value: int) -> str:
    match name:
        case "ops":
            return f"{format_ops(value)} ({value:,})"
        case "latency_us":
            return f"{value / 1000:g} ms"
    return format_bytes(value)


def _round_up(name: str, value: int) -> str:
    match name:
        case "ops":
            return f"{-(-value // 10_000) / 100:g}M"
        case "latency_us":
            return f"{-(-value // 100) / 10:g}ms"
    return f"{-(-value // 1024)}KB"
