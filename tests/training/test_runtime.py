from __future__ import annotations

import inspect
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from toy import ARCHITECTURE, RECIPE, same

from nas.errors import InputError
from nas.models.network import build_network
from nas.tasks.kws import KeywordSpotting
from nas.training import runtime as runtime_module
from nas.training.data import TrainingData
from nas.training.loop import Epoch, evaluate, predict, train
from nas.training.loss import Criterion
from nas.training.recipe import load_recipe
from nas.training.runtime import (
    Runtime,
    _choose_precision,
    _count_devices,
    _no_buffer_exchange,
    choose_device,
    open_runtime,
)

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_devices_by_name(two_gpus: None) -> None:
    named = {name: str(choose_device(name)) for name in ("auto", "cpu", "cuda", "cuda:1")}
    assert named == {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:1": "cuda:1"}


def test_without_a_gpu_the_processor_is_taken(no_gpu: None) -> None:
    assert choose_device("auto") == choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there(no_gpu: None, name: str) -> None:
    with pytest.raises(InputError, match=f"--device {name}: torch finds no CUDA device here; give --device cpu"):
        choose_device(name)


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_an_unknown_device(name: str) -> None:
    with pytest.raises(InputError, match=f"no device '{name}': give auto, cpu, cuda, or one GPU as cuda:1"):
        choose_device(name)


@pytest.mark.parametrize(
    ("device", "devices", "message"),
    [
        ("cuda:2", 1, "--device cuda:2: torch finds 2 CUDA device.s., the last is cuda:1"),
        ("cuda:1", 2, "--devices 2 does not go with --device cuda:1"),
        ("cuda", 3, "--devices 3: torch finds 2 CUDA device"),
        ("cpu", 0, "--devices 0 must be a whole number from 1, or auto"),
        ("cpu", "many", "--devices many must be a whole number from 1, or auto"),
    ],
)
def test_devices_that_are_not_there(two_gpus: None, device: str, devices: int | str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_runtime(device, devices)


def test_an_unknown_precision() -> None:
    with pytest.raises(InputError, match="no precision 'fp8': give auto, 32 or bf16"):
        open_runtime("cpu", precision="fp8")


def test_the_default_is_one_process_in_float32() -> None:
    runtime = open_runtime("cpu")
    assert (runtime.device, runtime.devices, runtime.precision) == (CPU, 1, "32")
    assert (runtime.rank, runtime.world_size) == (0, 1)
    assert open_runtime("cpu", devices="auto").devices == 1


@pytest.mark.parametrize(("samples", "sizes"), [(6, [3, 3]), (5, [3, 2]), (1, [1, 1])])
def test_shares_cover_the_batch_and_their_weighted_mean_is_its_mean(samples: int, sizes: list[int]) -> None:
    class Place:
        world_size = 2

        def __init__(self, rank: int) -> None:
            self.rank = rank

    inputs = torch.arange(samples).float()
    shares = [Runtime.share(Place(rank), inputs, inputs) for rank in (0, 1)]  # type: ignore[arg-type]
    assert [len(labels) for _, labels, _ in shares] == sizes
    assert sum(float(mine.mean()) * weight for mine, _, weight in shares) / 2 == pytest.approx(float(inputs.mean()))


def test_mixed_precision_keeps_norms_loss_and_evaluation_in_float32(data: TrainingData) -> None:
    runtime, network = open_runtime("cpu", precision="bf16"), build_network(ARCHITECTURE.graph, seed=0)
    dtypes: dict[type, torch.dtype] = {}
    for module in network.modules():
        module.register_forward_hook(lambda module, _, out: dtypes.update({type(module): out.dtype}))
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, sums: dtypes.update({nn.Conv2d: sums[0].dtype}))
    network.train()
    loss = Criterion(RECIPE)(network, data.dequantize(data.train_inputs[0, :20]), data.train_labels[:20], runtime)
    assert dtypes[nn.Conv2d] == dtypes[nn.Linear] == torch.bfloat16
    assert loss.dtype == torch.float32
    runtime.backward(loss)
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}
    assert {b.dtype for b in network.buffers() if b.is_floating_point()} == {torch.float32}
    alone = predict(network, data, data.validation.inputs)
    assert set(dtypes.values()) == {torch.float32}
    with runtime.autocast():
        assert torch.equal(predict(network, data, data.validation.inputs), alone)


def test_mixed_precision_learns_as_well(data: TrainingData) -> None:
    network = build_network(ARCHITECTURE.graph, seed=0)
    train(network, data, RECIPE, 0, runtime=open_runtime("cpu", precision="bf16"))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert evaluate(network, data, data.validation).value > 0.85


def test_scores_after_each_epoch_change_nothing(data: TrainingData) -> None:
    """Evaluation leaves the network in another mode and draws no random numbers."""
    network, plain = (build_network(ARCHITECTURE.graph, seed=0) for _ in range(2))
    scores: list[float] = []

    def score(epoch: Epoch) -> None:
        scores.append(evaluate(network, data, data.validation).value)

    train(network, data, RECIPE, 0, score)
    train(plain, data, RECIPE, 0)
    assert same(network, plain)
    assert scores[-1] == evaluate(plain, data, data.validation).value


def test_no_global_generator_is_used(data: TrainingData) -> None:
    before = torch.get_rng_state()
    train(build_network(ARCHITECTURE.graph, seed=0), data, RECIPE, 0)
    assert torch.equal(torch.get_rng_state(), before)


class HostReads(TorchDispatchMode):
    """Counts operators for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return function(*args, **(kwargs or {}))


def test_the_device_is_waited_for_once_in_an_epoch(data: TrainingData) -> None:
    """With the real recipe: to read the loss."""
    network, counter = build_network(ARCHITECTURE.graph, seed=0), HostReads()
    with counter:
        train(network, data, load_recipe(KeywordSpotting()).with_(epochs=2), 0)
    assert counter.count == 2


@pytest.mark.slow
def test_fabric_says_nothing() -> None:
    program = "from nas.training.runtime import open_runtime; open_runtime('cpu', precision='bf16')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_freed_memory_is_kept_only_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module.ctypes, "CDLL", lambda name: object())  # musl has no mallopt
    assert open_runtime("cpu").device == CPU


def test_glibc_is_told_to_keep_blocks_of_up_to_a_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """malloc.h: M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD is -3; both take a C int."""
    told: dict[int, int] = {}
    monkeypatch.setattr(runtime_module.sys, "platform", "linux")
    monkeypatch.setattr(runtime_module.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=told.__setitem__))
    open_runtime("cpu")
    assert told.keys() == {-1, -3}
    assert all(1 << 30 <= size < 1 << 31 for size in told.values())
    told.clear()
    monkeypatch.setattr(runtime_module.sys, "platform", "darwin")
    open_runtime("cpu")
    assert told == {}


@pytest.mark.parametrize(
    ("name", "devices", "count"),
    [("cuda", "auto", 2), ("cuda", 1, 1), ("cuda", "2", 2), ("cuda:1", "auto", 1), ("cuda:1", 1, 1), ("cpu", 5, 5)],
)
def test_how_many_devices_train(two_gpus: None, name: str, devices: int | str, count: int) -> None:
    assert _count_devices(choose_device(name), name, devices) == count


@pytest.mark.parametrize("emulated", [True, False])
def test_a_gpu_that_only_emulates_bf16_is_refused(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, emulated: bool
) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or not emulated
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    gpu = torch.device("cuda")
    assert _choose_precision(gpu, "auto") == _choose_precision(gpu, "32") == "32"
    assert _choose_precision(CPU, "bf16") == "bf16"
    if not emulated:
        assert _choose_precision(gpu, "bf16") == "bf16"
    else:
        with pytest.raises(InputError, match="--precision bf16: Old GPU has none; give --precision 32"):
            _choose_precision(gpu, "bf16")


def test_ddp_is_told_not_to_exchange_statistics() -> None:
    """The loop averages them once an epoch; the switch has other names in other versions of torch."""
    ((switch, value),) = _no_buffer_exchange().items()
    assert switch in inspect.signature(nn.parallel.DistributedDataParallel).parameters
    assert value is False


def test_one_process_takes_the_batch_as_it_is() -> None:
    inputs, labels = torch.rand(5, 2), torch.arange(5)
    mine = open_runtime("cpu").share(inputs, labels)
    assert mine[0] is inputs
    assert mine[1] is labels
    assert mine[2] == 1
