"""One training on several devices of this machine, one process each, from inside any program.

The calling process is rank 0 and trains its own share: callbacks, exceptions and the trained network are where the
caller is. The other ranks are processes of our own (``nas.training.worker``), not copies of the caller's script.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from torch import nn

from nas.errors import NasError
from nas.files import scratch_folder
from nas.processes import environment
from nas.training.runtime import Runtime, join_runtime

FAILURE_SECONDS = 10  # an error here may be the echo of one that is just ending a process there
MESSAGE_LINES = 5


@contextmanager
def join(runtime: Runtime, work: Mapping[str, Any]) -> Iterator[Runtime]:
    """Start the other processes of a training and join them; one device needs none.

    Args:
        work: arguments of ``nas.training.loop.train_share``, the same for every process. They are pickled: functions
            among them must be importable by name.

    Raises:
        NasError: a process ended early; the message has the last lines of its output.
    """
    if runtime.devices == 1:
        yield runtime
        return
    with scratch_folder("train") as folder, _process_state_kept():
        port = find_free_network_port()
        job = {"device": runtime.device.type, "devices": runtime.devices, "precision": runtime.precision, "port": port}
        torch.save({**job, "work": dict(work)}, folder / "job.pt")
        helpers: list[subprocess.Popen[bytes]] = []
        try:
            helpers.extend(_start(folder, rank) for rank in range(1, runtime.devices))
            _await_start(helpers, folder)
            yield join_runtime(runtime, 0, port)
        except RuntimeError as cause:
            _tell_of_failure(helpers, folder, cause)
            raise
        finally:
            _end(helpers)


@contextmanager
def synchronised_norms(network: nn.Module, runtime: Runtime) -> Iterator[None]:
    """Inside, batch norms see the whole batch, not only this device's share; torch can do so on CUDA alone.

    On CPUs each process normalises its own share; the running statistics are averaged after every epoch.
    """
    if runtime.world_size == 1 or runtime.device.type != "cuda":
        yield
        return
    plain = {name: each for name, each in network.named_modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)}
    # The new modules hold the very same parameters and buffers.
    nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for name, module in plain.items():
            network.set_submodule(name, module)


def average_statistics(network: nn.Module, runtime: Runtime) -> None:
    """Give every process the mean of all running means and variances."""
    if runtime.world_size > 1:
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(runtime.mean(buffer.clone()))


def _start(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    """The end of its standard input tells it that this process has died; Ctrl-C is for this process alone."""
    command = [sys.executable, "-m", "nas.training.worker", str(folder), str(rank)]
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join([variables["PYTHONPATH"], *sys.path])
    with (folder / f"{rank}.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env=variables,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )


def _await_start(helpers: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Whoever waits for processes that cannot come waits half an hour: hear from all before joining."""
    for helper in helpers:
        assert helper.stdout is not None
        if not helper.stdout.readline():
            helper.wait()
            _tell_of_failure(helpers, folder, None)


def _tell_of_failure(helpers: list[subprocess.Popen[bytes]], folder: Path, cause: BaseException | None) -> None:
    for rank, helper in enumerate(helpers, start=1):
        try:
            status = helper.wait(FAILURE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        if status:
            lines = (folder / f"{rank}.log").read_text(errors="replace").splitlines()
            tail = "\n  ".join(lines[-MESSAGE_LINES:])
            raise NasError(f"training process {rank} failed (exit status {status}):\n  {tail}") from cause


def _end(helpers: list[subprocess.Popen[bytes]]) -> None:
    """Whatever they are at: they write nothing, and rank 0 has all that they gave."""
    for helper in helpers:
        helper.kill()
        helper.wait()
        for pipe in (helper.stdin, helper.stdout):
            if pipe is not None:
                pipe.close()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _process_state_kept() -> Iterator[None]:
    """Joining sets environment variables and divides the threads of this machine: for this training, not for good."""
    variables, threads = dict(os.environ), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)
