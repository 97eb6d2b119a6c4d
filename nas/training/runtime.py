"""Where networks are trained and in which arithmetic: Lightning Fabric behind the few calls that the loop needs."""

from __future__ import annotations

import ctypes
import inspect
import logging
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from nas.errors import InputError

# Fabric tells on INFO what it was asked for, for every training anew.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}  # ours -> Fabric's

# "auto" is float32 everywhere. CPU seconds of 5 epochs on the real recordings, float32 -> bf16, one thread of an AMD
# EPYC with AVX512-BF16: micronet-kws-s 45 -> 68, mlperf-ds-cnn 16 -> 12; accuracy moves by less than a point.
# Depthwise convolutions lose what dense ones gain; a processor without such units emulates them. No figure for CUDA
# yet, where the float32 convolutions of training run as TF32 on tensor cores as it is.
AUTO_PRECISION = "32"

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt(3)

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process's place in a training.

    ``devices`` is how many devices a training is to use. ``world_size`` is how many work together right now: 1 but
    inside ``nas.training.parallel.join``.
    """

    device: torch.device
    devices: int
    precision: str  # "32" or "bf16"
    fabric: Fabric

    @property
    def rank(self) -> int:
        """0 reports and writes files."""
        return self.fabric.global_rank

    @property
    def world_size(self) -> int:
        """Processes that share the batches."""
        return self.fabric.world_size

    def setup(self, network: Module, optimizer: torch.optim.Optimizer) -> tuple[Module, torch.optim.Optimizer]:
        """The network (with a method ``logits``) and optimiser to train with; weights are shared with those given."""
        wrapped, stepper = self.fabric.setup(network, optimizer)
        wrapped.mark_forward_method("logits")
        return cast(Module, wrapped), cast(torch.optim.Optimizer, stepper)

    def autocast(self) -> AbstractContextManager[None]:
        """For the forward pass: convolutions and dense layers in the chosen precision.

        The weights, the sums and statistics of batch norms, and the optimiser stay float32 in any case.
        """
        return cast(AbstractContextManager[None], self.fabric.autocast())

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar, averaged over all processes."""
        self.fabric.backward(loss)

    def share(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, float]:
        """This process's samples of a batch, and the weight that makes the average of all losses that of the batch.

        Of a batch with fewer samples than processes everyone takes all.
        """
        if self.world_size == 1 or len(labels) < self.world_size:
            return inputs, labels, 1.0
        mine = labels[self.rank :: self.world_size]
        return inputs[self.rank :: self.world_size], mine, len(mine) * self.world_size / len(labels)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean of a tensor over all processes."""
        return tensor if self.world_size == 1 else cast(Tensor, self.fabric.all_reduce(tensor, reduce_op="mean"))

    def wait(self) -> None:
        """Until the device has done what it was given; before a clock is read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def open_runtime(device: str = "auto", devices: int | str = 1, precision: str = "auto") -> Runtime:
    """Choose where to train.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, or one GPU as ``cuda:1``.
        devices: how many GPUs, or processes on the CPU, share each training; ``auto``: every GPU, one process on a CPU.
        precision: ``32``, ``bf16`` (mixed: see ``Runtime.autocast``), ``auto`` (``AUTO_PRECISION``).

    Raises:
        InputError: an unknown name, a device that is not there, or a precision that it does not have.
    """
    where = choose_device(device)
    count = _count_devices(where, device, devices)
    chosen = _choose_precision(where, precision)
    if where.type == "cpu":
        _keep_freed_memory()
    return Runtime(where, count, chosen, _fabric(where, 1, chosen))


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises:
        InputError: an unknown name, or a CUDA device that is not there.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"no device {name!r}: give auto, cpu, cuda, or one GPU as cuda:1")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not present):
        return torch.device("cpu")
    if not present:
        raise InputError(f"--device {name}: torch finds no CUDA device here; give --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= present:
        raise InputError(f"--device {name}: torch finds {present} CUDA device(s), the last is cuda:{present - 1}")
    return torch.device("cuda", index)


def join_runtime(home: Runtime, rank: int, port: int) -> Runtime:
    """The runtime of one of ``home.devices`` processes; returns when all of them have joined.

    Args:
        rank: 0 up to ``home.devices - 1``.
        port: free TCP port of this machine, the same for all.
    """
    device = torch.device("cuda", rank) if home.device.type == "cuda" else home.device
    fabric = _fabric(home.device, home.devices, home.precision, _Place(rank, port))
    fabric.launch()
    return Runtime(device, home.devices, home.precision, fabric)


class _Place(LightningEnvironment):
    """A process of a training on one machine, started by us; the stock class takes it from environment variables."""

    def __init__(self, rank: int, port: int) -> None:
        super().__init__()
        self._rank, self._port = rank, port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self._port

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


def _fabric(device: torch.device, devices: int, precision: str, place: _Place | None = None) -> Fabric:
    """The environment is named, so that Fabric does not look for a cluster scheduler and warn of what it finds."""
    if place is None:
        accelerator_devices: list[int] | int = [device.index] if device.type == "cuda" else 1
        return Fabric(
            accelerator=device.type,
            devices=accelerator_devices,
            precision=PRECISIONS[precision],  # type: ignore[arg-type]
            plugins=[LightningEnvironment()],
        )
    return Fabric(
        accelerator=device.type,
        devices=devices,
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
        plugins=[place],
        strategy=DDPStrategy(**_no_buffer_exchange()),
    )


def _no_buffer_exchange() -> dict[str, Any]:
    """For DDP: the loop averages the statistics of batch norms itself, each epoch. torch 2.13 renames the switch."""
    known = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def _count_devices(where: torch.device, name: str, devices: int | str) -> int:
    present = torch.cuda.device_count() if where.type == "cuda" else None
    if devices == "auto":
        return 1 if present is None or ":" in name else present
    if not str(devices).isdecimal() or int(devices) < 1:
        raise InputError(f"--devices {devices} must be a whole number from 1, or auto")
    count = int(devices)
    if ":" in name and count > 1:
        raise InputError(f"--devices {count} does not go with --device {name}, which is one; give --device cuda")
    if present is not None and count > present:
        raise InputError(f"--devices {count}: torch finds {present} CUDA device(s)")
    return count


def _choose_precision(where: torch.device, name: str) -> str:
    chosen = AUTO_PRECISION if name == "auto" else name
    if chosen not in PRECISIONS:
        raise InputError(f"no precision {name!r}: give auto, {' or '.join(PRECISIONS)}")
    if chosen == "bf16" and where.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(f"--precision bf16: {torch.cuda.get_device_name(where)} has none; give --precision 32")
    return chosen


def _keep_freed_memory() -> None:
    """Let glibc keep big freed blocks for the next step, instead of giving them back and faulting them in anew.

    Measured on micronet-kws-s, batch 100, one thread: 6,000 to 27,000 page faults a step become 50 to 1,400; 115 to
    160 ms of CPU time become 107 to 110. Results are the same bits.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
