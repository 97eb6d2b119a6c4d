"""A network as a C program: its layers in the order in which they run, and where each tensor lies in the arena."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.errors import InputError
from nas.export.c.layers import make_layer
from nas.export.c.source import Layer, Source, read_source
from nas.export.c_source import identifier
from nas.model_file import tensor_bytes
from nas.plan.placement import Kernels, Placement, PlanKind, Planning
from nas.plan.planner import plan_model

PLANNING = Planning(PlanKind.OVERLAP, (Kernels.NAS_C,))


@dataclass(frozen=True, slots=True)
class Program:
    """What is written as C."""

    name: str
    source: Source
    """With the operators in the order in which they run."""
    layers: tuple[Layer, ...]
    placements: tuple[Placement, ...]
    arena_bytes: int

    @property
    def input(self) -> int:
        """Tensor of the file."""
        return self.source.model.inputs[0]

    @property
    def output(self) -> int:
        """Tensor of the file."""
        return self.source.model.outputs[0]

    def offset(self, tensor: int) -> int:
        """Of a tensor in the arena.

        Raises:
            InputError: it is not there: a constant, or one without values.
        """
        found = next((place.offset for place in self.placements if place.tensor == tensor), None)
        if found is None:
            raise InputError(f"damaged model: tensor {tensor} is no activation, but computed or given as one")
        return found

    def scratch_offset(self, position: int) -> int | None:
        """Of the scratch memory of one layer, if it needs some."""
        scope = position + 1
        found = [place.offset for place in self.placements if place.tensor < 0 and place.first == scope]
        return found[0] if found else None

    def bytes_of(self, tensor: int) -> int:
        """Size of a tensor."""
        return tensor_bytes(self.source.model.tensors[tensor])


def make_program(model: bytes, name: str, planning: Planning = PLANNING) -> Program:
    """Plan a ``.tflite`` file for the C kernels.

    Args:
        model: a memory plan in it is left aside: it was made for other kernels.
        name: prefix of everything that is visible in C.
        planning: the default lets outputs overlap inputs as far as the C kernels allow.

    Raises:
        InputError: not an INT8 network with one input and one output, or one with an operator without kernel; or the
            name is none that C can have.
    """
    return program_of(read_source(model), name, planning)


def program_of(source: Source, name: str, planning: Planning = PLANNING) -> Program:
    """``make_program`` of what was read of a file, or made without one."""
    if identifier(name) != name:
        raise InputError(f"{name!r} cannot be a name in C: try {identifier(name)!r}")
    if len(source.model.inputs) != 1 or len(source.model.outputs) != 1:
        raise InputError("the C back end takes networks with one input and one output")
    layers = [make_layer(source, op) for op in source.model.ops]
    ops = tuple(replace(layer.op, scratch_bytes=layer.scratch_bytes) for layer in layers)
    planned = replace(source.model, ops=ops, offline_offsets=None)
    plan = plan_model(planned, planning)
    return Program(
        name,
        replace(source, model=plan.apply(planned)),
        tuple(layers[position] for position in plan.order),
        plan.placements,
        plan.planned_bytes,
    )
