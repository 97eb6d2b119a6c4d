"""Buffers of a plan live as long as TFLM keeps them, and kernels get the scratch buffers that they ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.model_file import FileOp, FileTensor, ModelFile
from nas.plan.buffers import DECIDED_BY_TFLM, model_buffers, scratch_requests
from nas.plan.placement import Buffer


def tensor(*shape: int, dtype: str = "int8", data: int = 0) -> FileTensor:
    return FileTensor("", shape, dtype, data)


def test_a_state_is_planned_only_where_the_file_says_its_place() -> None:
    """TFLM allocates other states among its persistent bytes (``micro_allocation_info.cc``)."""
    state = replace(tensor(32), variable=True)
    op = FileOp("SVDF", (0, 1), (2,), {})
    file = ModelFile((tensor(16), state, tensor(16)), (replace(op, scratch_bytes=0),), (0,), (2,), 0)
    planned = [(None, [0, 2]), ((0, 48, 16), [0, 1, 2]), ((0, DECIDED_BY_TFLM, 16), [0, 2])]
    for offsets, tensors in planned:
        buffers = model_buffers(replace(file, offline_offsets=offsets))
        assert [buffer.tensor for buffer in buffers] == tensors


def test_a_tensor_that_is_read_but_never_written_is_there_from_the_start() -> None:
    ops = (FileOp("RELU", (0,), (1,), {}), FileOp("ADD", (1, 2), (3,), {}))
    file = ModelFile((tensor(16), tensor(16), tensor(16), tensor(16)), ops, (0,), (3,), 0)
    assert model_buffers(file)[2] == Buffer(2, 16, 0, 2)


@pytest.mark.parametrize(
    ("kind", "tensors", "requests"),
    [
        # svdf_common.cc, Prepare: 32 bits for each batch and filter, and in integer models for each batch and unit.
        ("SVDF", [tensor(2, 7), tensor(12, 7), tensor(12, 4), tensor(2, 6)], [4 * 2 * 12, 4 * 2 * 6]),
        ("SVDF", [tensor(2, 7, dtype="float32"), tensor(12, 7), tensor(12, 4), tensor(2, 6)], [4 * 2 * 12]),
        # transpose_conv.cc, Prepare: sums of 32 bits for int8.
        ("TRANSPOSE_CONV", [tensor(4), tensor(5, 1, 1, 3), tensor(1, 2, 2, 3), tensor(1, 4, 4, 5)], [4 * 80]),
        # reduce_common.cc, Prepare: the index and the axes, before them the sums of integer means.
        ("MEAN", [tensor(1, 4, 4, 5), tensor(2, dtype="int32"), tensor(1, 5)], [4 * 5, 4 * 4, 4 * 2]),
        ("REDUCE_MAX", [tensor(1, 4, 4, 5), tensor(2, dtype="int32"), tensor(1, 5)], [4 * 4, 4 * 2]),
        ("MIRROR_PAD", [tensor(3, 4), tensor(2, 2, dtype="int32"), tensor(5, 8)], [4 * 2, 4 * 2]),
        ("ADD_N", [tensor(9), tensor(9), tensor(9), tensor(9)], [8 * 3]),
        ("RELU", [tensor(9), tensor(9)], []),
    ],
)
def test_scratch_buffers_of_a_kernel(kind: str, tensors: list[FileTensor], requests: list[int]) -> None:
    output = len(tensors) - 1
    op = FileOp(kind, tuple(range(output)), (output,), {})
    file = ModelFile(tuple(tensors), (op,), (0,), (output,), 0)
    assert scratch_requests(file, op) == requests
    assert scratch_requests(file, replace(op, scratch_bytes=100)) == [100]
    assert scratch_requests(file, replace(op, custom=True)) == []


def test_biases_of_16_bits_are_widened() -> None:
    """To 64 bits (``transpose_conv.cc``), wherever the bias lies among the tensors."""
    tensors = (
        *(tensor(5, dtype="int16"), tensor(4), tensor(5, 1, 1, 3), tensor(1, 2, 2, 3, dtype="int16")),
        tensor(1, 4, 4, 5, dtype="int16"),
    )
    op = FileOp("TRANSPOSE_CONV", (1, 2, 3, 0), (4,), {})
    assert scratch_requests(ModelFile(tensors, (op,), (3,), (4,), 0), op) == [8 * 80, 8 * 5]
    without = replace(op, inputs=(1, 2, 3, -1))
    assert scratch_requests(ModelFile(tensors, (without,), (3,), (4,), 0), without) == [8 * 80]
