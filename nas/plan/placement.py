"""What is planned, where it is put, and for which kernels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from nas.errors import InputError

MOST_ARENA_BYTES = 1 << 24  # that is planned or replayed: no microcontroller has more; a replay takes 24 times as much
MOST_READS = 1 << 32  # of values in a replay: some seconds; networks of microcontrollers read less than 1 << 30
ALIGNMENT = 16  # MicroArenaBufferAlignment(): of every buffer in TFLM's plan

ALSO = {"plan": "", "kernels": ", or several of them with commas between"}

Count = Any  # an integer, or an array of one per network


class Kernels(StrEnum):
    """Sets of kernels; the order in which they read and write decides what may overlap."""

    REFERENCE = "reference"
    """TFLM's own."""
    CMSIS_NN = "cmsis-nn"
    """TFLM with CMSIS-NN: plain C, DSP extension and MVE alike."""
    NAS_C = "nas-c"
    """Our own C back end."""


class PlanKind(StrEnum):
    """What a plan may do, from least to most."""

    GREEDY = "greedy"
    """Nothing: TFLM plans."""
    PACKED = "packed"
    """Place buffers better than TFLM does; none overlap while they live."""
    OVERLAP = "overlap"
    """Also let an operator's output run into the dead part of its input."""
    ESTIMATE = "estimate"
    """No plan, but what rough estimates take for one: the largest input and output of an operator, and nothing that
    TFLM keeps beside them. A search may believe it, to show what that costs; files are then planned by TFLM."""

    @property
    def plans(self) -> bool:
        """Whether a plan is made, instead of leaving it to TFLM."""
        return self in (PlanKind.PACKED, PlanKind.OVERLAP)


class FlashModel(StrEnum):
    """What a search takes for the size of a file."""

    FILE = "file"
    """The size that it will have."""
    PARAMETERS = "parameters"
    """Weights and biases alone, as rough estimates do. As with ``PlanKind.ESTIMATE``, a search may believe it."""


class Planning(NamedTuple):
    """How memory is planned. The default is safe on the reference kernels and on CMSIS-NN."""

    kind: PlanKind = PlanKind.OVERLAP
    kernels: tuple[Kernels, ...] = (Kernels.REFERENCE, Kernels.CMSIS_NN)
    flash: FlashModel = FlashModel.FILE

    @property
    def overlapping(self) -> tuple[Kernels, ...]:
        """Kernel sets on which overlaps must be safe; none: nothing may overlap."""
        return self.kernels if self.kind is PlanKind.OVERLAP else ()


DEFAULT_PLANNING = Planning()
DEFAULT_PLAN, DEFAULT_KERNELS = DEFAULT_PLANNING.kind.value, ",".join(DEFAULT_PLANNING.kernels)


def parse_planning(plan: str | None, kernels: str | None, estimates: bool = False) -> Planning:
    """Planning from the words of the command line, such as ``overlap`` and ``reference,cmsis-nn``, or the defaults.

    Args:
        plan: kind.
        kernels: sets of them, with commas between.
        estimates: whether an estimate will do, too.

    Raises:
        InputError: no such kind of plan, or no such kernels.
    """
    kind = plan or DEFAULT_PLAN
    names = [name.strip() for name in (kernels or DEFAULT_KERNELS).split(",")]
    kinds = [each for each in PlanKind if estimates or each is not PlanKind.ESTIMATE]
    for option, given, known in (("plan", [kind], kinds), ("kernels", names, [*Kernels])):
        wrong = [name for name in given if name not in known]
        if wrong:
            raise InputError(f"--{option} {wrong[0]!r}: expected {', '.join(known)}{ALSO[option]}")
    return Planning(PlanKind(kind), tuple(Kernels(name) for name in dict.fromkeys(names)))


class Buffer(NamedTuple):
    """One activation tensor in the plan: size in bytes and the operators, first to last, during which it lives.

    In a graph of many networks, size and last operator may be arrays; who lacks the tensor has a size of 0.
    """

    tensor: int
    size_bytes: Count
    first: int
    last: Count


@dataclass(frozen=True, slots=True)
class Placement:
    """One buffer of the memory plan: activation or scratch, where it lies and while which operators it is alive."""

    tensor: int
    """Index of the tensor; -1 for a scratch buffer that a kernel asked for."""
    name: str
    offset: int
    size_bytes: int
    """Rounded up to TFLM's alignment."""
    first: int
    """Operators count from 1; 0 is the time before the first one, when the input is filled in."""
    last: int


def aligned(size: Count) -> Count:
    """Bytes that a buffer takes in the plan."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def require_room(arena_bytes: int) -> None:
    """Refuse what no microcontroller holds, before memory and hours go into it.

    Raises:
        InputError: it is more than ``MOST_ARENA_BYTES``.
    """
    if arena_bytes > MOST_ARENA_BYTES:
        raise InputError(f"its activations take {arena_bytes:,} bytes, at most {MOST_ARENA_BYTES:,} are planned")


def require_time(reads: int) -> None:
    """Refuse what a replay would take hours for.

    Raises:
        InputError: it is more than ``MOST_READS``.
    """
    if reads > MOST_READS:
        raise InputError(f"its windows read {reads:,} values, at most {MOST_READS:,} are replayed")
