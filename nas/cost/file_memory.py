"""The arena of any ``.tflite`` file: the plan of its head, and the sum of its tail.

The head is simulated exactly: lifetimes as in ``micro_allocation_info.cc``, placement as in
``greedy_memory_planner.cc``, which takes the offsets of an offline plan as given and fits the rest around them. The
tail is the sum of all persistent allocations in their order, each aligned as TFLM asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from nas.cost.arithmetic import up
from nas.cost.kernel_memory import persistent_requests, scratch_requests, tensor_bytes
from nas.cost.model_file import FileOp, FileTensor, ModelFile, Placement
from nas.cost.sram import Buffer, greedy_plan
from nas.cost.tflm_sizes import ALIGNMENT, HOST, KERNELS, Machine

DECIDED_BY_TFLM = -1  # offset in an offline plan of a tensor that TFLM shall place


def plan(model: ModelFile) -> tuple[Placement, ...]:
    """Place all activations and scratch buffers, tensors in their order and then scratch in order of use."""
    buffers = [*_activations(model), *_scratch(model)]
    fixed = {tensor: offset for tensor, offset in enumerate(model.offline_offsets or ()) if offset != DECIDED_BY_TFLM}
    offsets = greedy_plan(buffers, fixed)
    return tuple(_placement(model, buffer, offsets[buffer.tensor]) for buffer in buffers)


def persistent_bytes(model: ModelFile, machine: Machine = HOST) -> int:
    """Bytes of the tail: what TFLM keeps for the whole life of the interpreter. Unknown operators add their node."""
    used = machine.interpreter + machine.tensor * len(model.tensors) + machine.node * len(model.ops)
    for size, alignment in _allocations(model, machine):
        used = up(used + size, alignment)
    return used


def layer_persistent_bytes(model: ModelFile, op: FileOp, machine: Machine = HOST) -> int | None:
    """One operator's share of the tail: node, parameters, state, and what its ``Prepare`` asks for."""
    if not is_known(op):
        return None
    kernel = KERNELS[op.kind]
    buffers = [kernel.state_on(machine), *persistent_requests(model, op, machine)]
    handles = machine.pointer * len(scratch_requests(model, op, machine))
    state = sum(int(up(size, ALIGNMENT)) for size in buffers)
    return machine.node + kernel.parameters_on(machine).size + state + handles


def is_known(op: FileOp) -> bool:
    """Whether the kernel's memory is known here."""
    return not op.custom and op.kind in KERNELS


def _activations(model: ModelFile) -> list[Buffer]:
    """Tensors that TFLM plans; one that no operator touches is planned too, but meets only its like."""
    lives = _lives(model)
    never = (-1, -1)
    return [
        Buffer(index, up(tensor_bytes(tensor), ALIGNMENT), *lives.get(index, never))
        for index, tensor in enumerate(model.tensors)
        if tensor_bytes(tensor) and _is_planned(model, index, tensor)
    ]


def _is_planned(model: ModelFile, index: int, tensor: FileTensor) -> bool:
    return not tensor.data_bytes and (not tensor.variable or _has_offset(model, index))


def _has_offset(model: ModelFile, index: int) -> bool:
    return model.offline_offsets is not None and model.offline_offsets[index] != DECIDED_BY_TFLM


def _lives(model: ModelFile) -> dict[int, tuple[int, int]]:
    """Tensor -> first and last operator, from 1; inputs are there from 0, outputs stay to the end.

    A tensor that is read but never written, as only a damaged model has, counts as there from the start.
    """
    first, last = dict.fromkeys(model.inputs, 0), dict.fromkeys(model.inputs, 0)
    for scope, op in enumerate(model.ops, 1):
        for tensor in op.outputs:
            first.setdefault(tensor, scope)
        for tensor in (*op.inputs, *op.outputs):
            last[tensor] = scope
    for tensor in model.outputs:
        last[tensor] = len(model.ops)
        first.setdefault(tensor, len(model.ops))
    return {tensor: (first.get(tensor, 0), scope) for tensor, scope in last.items()}


def _scratch(model: ModelFile) -> list[Buffer]:
    """Scratch buffers, numbered on from the tensors as TFLM numbers them, which decides ties of size."""
    requests = [
        (size, scope) for scope, op in enumerate(model.ops, 1) if is_known(op) for size in scratch_requests(model, op)
    ]
    return [
        Buffer(number, up(size, ALIGNMENT), scope, scope)
        for number, (size, scope) in enumerate(requests, len(model.tensors))
        if size
    ]


def _placement(model: ModelFile, buffer: Buffer, offset: int) -> Placement:
    tensor = buffer.tensor if buffer.tensor < len(model.tensors) else -1
    name = model.tensors[tensor].name if tensor >= 0 else f"scratch of {model.ops[buffer.first - 1].kind}"
    return Placement(tensor, name, offset, buffer.size_bytes, buffer.first, buffer.last)


def _allocations(model: ModelFile, machine: Machine) -> Iterator[tuple[int, int]]:
    """(size, alignment) of each persistent allocation after the fixed structures, in TFLM's order."""
    known = [op for op in model.ops if is_known(op)]
    yield from (KERNELS[op.kind].parameters_on(machine) for op in known)
    for op in known:
        if KERNELS[op.kind].state:
            yield KERNELS[op.kind].state_on(machine), ALIGNMENT
    for op in known:
        yield from ((size, ALIGNMENT) for size in persistent_requests(model, op, machine))
    handles = sum(len(scratch_requests(model, op, machine)) for op in known)
    yield handles * machine.pointer, machine.pointer if handles else 1
    for index, tensor in enumerate(model.tensors):
        if tensor.variable and not _has_offset(model, index):
            yield tensor_bytes(tensor), ALIGNMENT
    for ends in (model.inputs, model.outputs):
        yield machine.pointer * len(ends), ALIGNMENT
        for index in ends:
            yield from _full_tensor(model.tensors[index], machine)


def _full_tensor(tensor: FileTensor, machine: Machine) -> Iterator[tuple[int, int]]:
    """The structures of one input or output."""
    yield machine.full_tensor, machine.pointer
    if tensor.scales:
        yield machine.quantization, machine.pointer
        yield 4 + 4 * tensor.scales, 4  # zero points: TfLiteIntArray
