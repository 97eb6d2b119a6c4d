"""The tail of the arena of any ``.tflite`` file: what TFLM keeps for the whole life of the interpreter.

The sum of all persistent allocations in their order, each aligned as TFLM asks. The head is ``nas.plan.greedy``'s.
"""

from __future__ import annotations

from collections.abc import Iterator

from nas.cost.arithmetic import up
from nas.cost.kernel_memory import persistent_requests
from nas.cost.tflm_sizes import HOST, KERNELS, Machine
from nas.model_file import FileOp, FileTensor, ModelFile, tensor_bytes
from nas.plan.buffers import has_offset, scratch_requests
from nas.plan.placement import ALIGNMENT


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
    handles = machine.pointer * len(scratch_requests(model, op, machine.pointer))
    state = sum(int(up(size, ALIGNMENT)) for size in buffers)
    return machine.node + kernel.parameters_on(machine).size + state + handles


def is_known(op: FileOp) -> bool:
    """Whether the kernel's memory is known here."""
    return not op.custom and op.kind in KERNELS


def _allocations(model: ModelFile, machine: Machine) -> Iterator[tuple[int, int]]:
    """(size, alignment) of each persistent allocation after the fixed structures, in TFLM's order."""
    known = [op for op in model.ops if is_known(op)]
    yield from (KERNELS[op.kind].parameters_on(machine) for op in known)
    for op in known:
        if KERNELS[op.kind].state:
            yield KERNELS[op.kind].state_on(machine), ALIGNMENT
    for op in known:
        yield from ((size, ALIGNMENT) for size in persistent_requests(model, op, machine))
    handles = sum(len(scratch_requests(model, op, machine.pointer)) for op in known)
    yield handles * machine.pointer, machine.pointer if handles else 1
    for index, tensor in enumerate(model.tensors):
        if tensor.variable and not has_offset(model, index):
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
