"""What a cost report says of one model: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from nas.plan.placement import Placement


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One operator's share of every cost."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    macs: int | None
    """``None``: an operator that is not known here; never silently zero."""
    params: int
    """Elements of its constant inputs that are weights or biases."""
    constant_bytes: int
    """Bytes of all its constant inputs in flash."""
    live_bytes: int
    """Activations and scratch that are alive while it runs; what overlaps counts once."""
    top_bytes: int
    """Highest planned address in use while it runs; what exceeds ``live_bytes`` is fragmentation."""
    persistent_bytes: int | None
    """Kernel state, parameters and node on a 64-bit host; ``None``: an operator that is not known here."""


@dataclass(frozen=True, slots=True)
class CostReport:
    """All costs of one model. Where ``unsupported`` is not empty, the totals are lower bounds."""

    flash_bytes: int
    activation_bytes: int
    """The plan: what TFLM reports as the head of its arena."""
    persistent_bytes: int
    """The tail, on a 64-bit host with TFLM's reference kernels."""
    persistent_32bit_bytes: int
    """The tail on a 32-bit core: modelled."""
    macs: int
    params: int
    layers: tuple[LayerCost, ...]
    placements: tuple[Placement, ...]
    unsupported: tuple[str, ...]
    """Kinds whose costs are not known here, each once."""

    @property
    def sram_bytes(self) -> int:
        """The arena on a 64-bit host."""
        return self.activation_bytes + self.persistent_bytes

    @property
    def sram_32bit_bytes(self) -> int:
        """The arena on a 32-bit core: modelled."""
        return self.activation_bytes + self.persistent_32bit_bytes

    @property
    def ops(self) -> int:
        """2 per multiply-accumulate."""
        return 2 * self.macs

    @property
    def peak(self) -> int:
        """Index of the layer during which the plan reaches highest; of several, the one with most alive."""
        return max(range(len(self.layers)), key=lambda i: (self.layers[i].top_bytes, self.layers[i].live_bytes))
