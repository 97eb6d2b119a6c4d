"""What rough estimates take for the size of a file."""

from __future__ import annotations

from nas.cost.flash import parameter_bytes
from nas.cost.model import cost
from nas.plan.placement import FlashModel, Planning
from nas.space import load_space


def test_parameters_are_those_that_are_published() -> None:
    """22,604 of them, of which 9 layers of 64 and the 12 of the head are biases, at four bytes each."""
    graph = load_space("kws_ds_cnn").points["mlperf-ds-cnn"].graph
    believed = cost(graph, Planning(flash=FlashModel.PARAMETERS))
    assert believed.flash_bytes == parameter_bytes(graph) == 22_604 + 3 * (9 * 64 + 12)
    assert believed.sram_bytes == cost(graph).sram_bytes
