"""One step of the supernet beside a plain training step of the space's largest network, and beside NNI's, in one run.

    pip install --target peers --no-deps nni==3.0 pytorch-lightning lightning-utilities torchmetrics astor cloudpickle
    pip install --target peers --no-deps colorama filelock json-tricks nvidia-ml-py prettytable PythonWebHDFS responses
    pip install --target peers --no-deps schema websockets "typeguard<4.1.3"
    pip install pandas psutil requests scikit-learn scipy tqdm
    PYTHONPATH=peers python benchmarks/supernet_step.py

Methods take turns on one batch of random data, each between two plain steps: its ratio is to the mean of those two, so
that a busy machine slows all alike. How far two plain steps lie apart is told in the row of the plain step. A step is a
forward pass, the loss, a backward pass and the optimizer. Ours runs at full width: no option is left out for its small
weight, as happens late in a search.

NNI has a folder of its own, as it wants old packages. It gets the choices of the same space:

- "mixed": widths as choices of MutableConv2d, depths as Repeat. It makes a mask per option, of the size of the weights.
- "branches": a LayerChoice of one convolution per width, filled up with zeros to the widest.

NNI cannot express what follows a Repeat of blocks of different widths: the input channels of the next layer depend on
the depth, and on as many widths. Here it is given the widest, which is right for the time of a step, but the network
that it finds cannot be cut out. The same goes for the sum of two maps of different widths.

The exit status is 1 where a step of ours costs more than its bound.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from nas.cost.model import cost
from nas.cost.relaxed import relaxed_costs
from nas.defaults import WEIGHT_STEPS
from nas.models.network import build_network
from nas.models.supernet import Supernet
from nas.space import SearchSpace, load_space
from nas.space.graph import Graph, Op, OpKind, same_padding
from nas.space.spec import StageSpec

# x plain. PLiNIO's channel masks on a DS-CNN cost 1.33 to 1.36, measured on the same day as 6.0 to 6.5 for branches.
# The maps of the VWW space shrink to 2x2, where the fixed price of an operator weighs more than its arithmetic.
BOUNDS = {"kws_micronet": 1.3, "vww_micronet_50": 1.5}
KEPT_WIDE = 0.05  # weight of the last option at least: the supernet does not compute wide options of next to none
BUDGET = 0.1  # of the costs of the largest network: every hinge is active
FEW = 5  # widths a layer in the rows where NNI has branches, and in ours beside them

PLAIN = "plain step of the largest network"
WEIGHT, ARCHITECTURE = "ours: weight step", "ours: architecture step"
SCHEDULE = f"ours: average of {WEIGHT_STEPS} weight steps and 1 architecture step"
Step = Callable[[], None]
Mutable = Any  # one of NNI's, or the integer that it stands for where there is nothing to choose


@dataclass(frozen=True, slots=True)
class Turns:
    """What the turns of one method took, and how much that is for each second of the plain steps around it."""

    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def add(self, seconds: float, ratio: float) -> None:
        """One more turn."""
        self.seconds.append(seconds)
        self.ratios.append(ratio)


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs (n, c, h, w) in channels-last order and labels (n,)."""

    inputs: Tensor
    labels: Tensor

    @classmethod
    def random(cls, space: SearchSpace, size: int) -> Batch:
        """Noise of the shape that the space asks for."""
        height, width, channels = space.spec.input
        inputs = torch.randn(size, channels, height, width).to(memory_format=torch.channels_last)
        return cls(inputs, torch.randint(space.spec.classes, (size,)))

    def loss(self, logits: Tensor) -> Tensor:
        """The loss of ``nas.training.loop``."""
        return F.cross_entropy(logits, self.labels, label_smoothing=0.1)


def plain(space: SearchSpace, batch: Batch) -> Step:
    """Trains the largest network as ``nas.training.loop`` does."""
    network = build_network(space.largest().graph, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = _adamw(network.parameters())

    def step() -> None:
        loss = batch.loss(network.logits(batch.inputs))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


class Ours:
    """Our supernet at full width: the one place that knows its interface."""

    def __init__(self, space: SearchSpace, batch: Batch) -> None:
        self.space, self.batch = space, batch
        self.supernet = Supernet(space, seed=0).to(memory_format=torch.channels_last).train()
        self.alphas = {d.name: torch.zeros(len(d.options), requires_grad=True) for d in space.decisions}
        self.weight_optimizer = _adamw(self.supernet.parameters())
        self.alpha_optimizer = torch.optim.Adam(self.alphas.values(), lr=1e-2)
        largest = cost(space.largest().graph)
        self.budgets = {name: BUDGET * getattr(largest, name) for name in ("flash_bytes", "sram_bytes", "ops")}

    def weight_step(self) -> None:
        """Descends on the shared weights under a random mixture of all options."""
        with torch.no_grad():
            mixture = self._mixture()
        self._train(mixture)

    def largest_step(self) -> None:
        """Descends on the shared weights under the largest network alone: a search trains one network a step."""
        self._train({name: _last(alpha).float() for name, alpha in self.alphas.items()})

    def _train(self, weights: Mapping[str, Tensor]) -> None:
        loss = self.batch.loss(self.supernet.logits(self.batch.inputs, weights))
        self.weight_optimizer.zero_grad()
        loss.backward()
        self.weight_optimizer.step()

    def architecture_step(self) -> None:
        """Descends on the probabilities of options: the same loss, and a hinge for each budget."""
        loss = self.batch.loss(self.supernet.logits(self.batch.inputs, self._mixture())) + self._excess()
        self.alpha_optimizer.zero_grad()
        loss.backward(inputs=list(self.alphas.values()))
        self.alpha_optimizer.step()

    def _mixture(self) -> dict[str, Tensor]:
        drawn = {name: F.gumbel_softmax(alpha) for name, alpha in self.alphas.items()}
        return {name: (1 - KEPT_WIDE) * mix + KEPT_WIDE * _last(mix) for name, mix in drawn.items()}

    def _excess(self) -> Tensor:
        costs = relaxed_costs(self.space, {name: alpha.softmax(0) for name, alpha in self.alphas.items()})
        return torch.stack([F.relu(costs[name] / budget - 1) for name, budget in self.budgets.items()]).sum()


def nni(space: SearchSpace, batch: Batch, branches: bool = False) -> Step:
    """A step of NNI's Gumbel-softmax DARTS: phase 2 of its ``DartsLightningModule.training_step``.

    Phase 1, which trains the architecture, differs by its optimizer only: gradients of weights are computed there too.
    """
    supernet = nni_supernet(space, branches).to(memory_format=torch.channels_last).train()
    optimizer = _adamw(p for name, p in supernet.named_parameters() if "_arch_alpha" not in name)

    def step() -> None:
        loss = batch.loss(supernet(batch.inputs))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


class Unit(nn.Module):
    """Padding, convolution, batch norm, ReLU: ``nas.models.network.Convolution`` of layers made elsewhere."""

    def __init__(self, graph: Graph, op: Op, layers: Any, channels: tuple[Mutable, Mutable]) -> None:
        super().__init__()
        height, width, _ = graph.shapes[op.inputs[0]]
        top, bottom = same_padding(height, op.kernel[0], op.stride[0])
        left, right = same_padding(width, op.kernel[1], op.stride[1])
        symmetric = top == bottom and left == right
        self.pad = None if symmetric else (left, right, top, bottom)
        self.conv = layers.MutableConv2d(
            *channels,
            op.kernel,
            stride=op.stride,
            padding=(top, left) if symmetric else 0,
            groups=channels[0] if op.kind is OpKind.DEPTHWISE_CONV_2D else 1,
            bias=False,
        )
        self.norm = layers.MutableBatchNorm2d(channels[1])
        self.relu = op.relu

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, ceil(h/s), ceil(w/s))."""
        if self.pad is not None:
            x = F.pad(x, self.pad)
        x = self.norm(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


class Shortcut(nn.Module):
    """Adds the input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        return x + self.body(x)


def nni_supernet(space: SearchSpace, branches: bool) -> nn.Module:
    """The choices of a space of one kernel per layer in NNI's own layers, made a supernet by NNI."""
    import nni.nas.nn.pytorch as layers
    from nni.nas.strategy import GumbelDARTS

    class Space(layers.ModelSpace):
        """NNI's layers can be made only while a space is."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*_nni_stages(space, layers, branches))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    return GumbelDARTS().mutate_model(Space())


def _nni_stages(space: SearchSpace, layers: Any, branches: bool) -> Iterator[nn.Module]:
    """The stages, then the head."""
    graph = space.largest().graph
    channels: Mutable = space.spec.input[-1]
    for stage in space.spec.stage:
        blocks: list[nn.Module] = []
        for number in range(1, stage.repeat[-1] + 1):
            block, channels = _nni_block(graph, stage, number, channels, layers, branches)
            blocks.append(block)
        if len(stage.repeat) > 1:
            yield layers.Repeat(blocks, (stage.repeat[0], stage.repeat[-1]), label=f"{stage.name}_depth")
            channels = stage.width[-1]
        else:
            yield from blocks
    yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(space.spec.stage[-1].width[-1], space.spec.classes))


def _nni_block(
    graph: Graph, stage: StageSpec, number: int, channels: Mutable, layers: Any, branches: bool
) -> tuple[nn.Module, Mutable]:
    """A block of a stage, and the channels that it gives."""
    name = f"{stage.name}.{number}"
    ops = [op for op in graph.ops if op.name == name or op.name.startswith(f"{name}.")]
    units: list[nn.Module] = []
    for op in ops:
        if op.kind is OpKind.DEPTHWISE_CONV_2D:
            units.append(Unit(graph, op, layers, (channels, channels)))
        elif op.kind is OpKind.CONV_2D:
            options = stage.hidden if op.name.endswith(".expand") else stage.width
            unit, channels = _nni_widths(graph, op, options, channels, layers, branches)
            units.append(unit)
    body = nn.Sequential(*units)
    return (Shortcut(body) if any(op.kind is OpKind.ADD for op in ops) else body), channels


def _nni_widths(
    graph: Graph, op: Op, options: tuple[int, ...], channels: Mutable, layers: Any, branches: bool
) -> tuple[nn.Module, Mutable]:
    """A convolution of a choice of widths, and the channels that it gives."""
    from nni.mutable import Categorical

    label, widest = op.name.replace(".", "_"), options[-1]
    if len(options) == 1:
        return Unit(graph, op, layers, (channels, widest)), widest
    if not branches:
        width = Categorical(options, label=label)
        return Unit(graph, op, layers, (channels, width)), width
    units = [Unit(graph, op, layers, (channels, width)) for width in options]
    filled = [nn.Sequential(unit, nn.ZeroPad3d((0, 0, 0, 0, 0, widest - unit.conv.out_channels))) for unit in units]
    return layers.LayerChoice(filled, label=label), widest


def main() -> int:
    """Print a table for each space; 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="*", default=list(BOUNDS))
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5, help="turns of every method; figures are medians of so many")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    console = Console(width=120)
    if not _has_nni():
        console.print("NNI is not installed: its rows are left out")
    kept = True
    for name in options.spaces:
        space = load_space(name)
        batch = Batch.random(space, options.batch)
        turns = _turns(plain(space, batch), _methods(space, batch), options.rounds, options.threads)
        console.print(_table(f"{name}, batch {options.batch}", turns))
        kept &= _within_bound(name, turns, console)
    return 0 if kept else 1


def _methods(space: SearchSpace, batch: Batch) -> dict[str, Step]:
    few = _thinned(space, FEW)
    ours, ours_few = Ours(space, batch), Ours(few, batch)
    methods = {
        WEIGHT: ours.weight_step,
        ARCHITECTURE: ours.architecture_step,
        "ours: weight step of the largest network alone": ours.largest_step,
        f"ours, {FEW} widths a layer: weight step": ours_few.weight_step,
        f"ours, {FEW} widths a layer: architecture step": ours_few.architecture_step,
    }
    if _has_nni():
        warnings.filterwarnings("ignore", module="nni")  # it does not know the newest layers of torch
        methods["NNI, mixed: step"] = nni(space, batch)
        methods[f"NNI, mixed, {FEW} widths a layer: step"] = nni(few, batch)
        methods[f"NNI, branches, {FEW} widths a layer: step"] = nni(few, batch, branches=True)
    return methods


def _turns(reference: Step, methods: Mapping[str, Step], rounds: int, threads: int) -> dict[str, Turns]:
    """Every method once a round, each between two plain steps; and the average of our schedule."""
    clock = time.process_time if threads == 1 else time.perf_counter  # on one thread: to wait for a core is no work
    turns = {method: Turns() for method in (PLAIN, *methods)}
    before = _seconds(reference, clock)
    for _, (method, step) in itertools.product(range(rounds), methods.items()):
        seconds, after = _seconds(step, clock), _seconds(reference, clock)
        turns[method].add(seconds, 2 * seconds / (before + after))
        turns[PLAIN].add(after, 2 * after / (before + after))
        before = after
    return {PLAIN: turns[PLAIN], SCHEDULE: _average(turns[WEIGHT], turns[ARCHITECTURE]), **turns}


def _seconds(step: Step, clock: Callable[[], float]) -> float:
    step()  # memory and caches were those of the method before
    started = clock()
    step()
    return clock() - started


def _average(weight: Turns, architecture: Turns) -> Turns:
    def mean(a: list[float], b: list[float]) -> list[float]:
        return [(WEIGHT_STEPS * x + y) / (WEIGHT_STEPS + 1) for x, y in zip(a, b, strict=True)]

    return Turns(mean(weight.seconds, architecture.seconds), mean(weight.ratios, architecture.ratios))


def _table(title: str, turns: Mapping[str, Turns]) -> Table:
    table = Table("method", "ms/step", "x plain", "least to most", title=title)
    for method, each in turns.items():
        table.add_row(
            method,
            f"{1000 * statistics.median(each.seconds):,.0f}",
            f"{statistics.median(each.ratios):.2f}",
            f"{min(each.ratios):.2f} to {max(each.ratios):.2f}",
        )
    return table


def _within_bound(space: str, turns: Mapping[str, Turns], console: Console) -> bool:
    """Whether our weight step and the average of the schedule stay within the bound of the space, if it has one."""
    bound = BOUNDS.get(space)
    if bound is None:
        return True
    worst = max(statistics.median(turns[method].ratios) for method in (WEIGHT, SCHEDULE))
    console.print(f"{space}: {worst:.2f} x plain, bound {bound}: {'kept' if worst <= bound else 'NOT KEPT'}")
    return worst <= bound


def _thinned(space: SearchSpace, count: int) -> SearchSpace:
    """The same space with at most so many widths a layer, the narrowest and the widest among them."""

    def few(options: tuple[int, ...]) -> tuple[int, ...]:
        steps = min(count, len(options)) - 1
        return tuple(options[round(i * (len(options) - 1) / max(steps, 1))] for i in range(steps + 1))

    stages = [
        stage.model_copy(update={p: few(getattr(stage, p)) for p in ("width", "hidden")}) for stage in space.spec.stage
    ]
    return replace(space, spec=space.spec.model_copy(update={"stage": stages}))


def _adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=5e-2, fused=True)


def _last(mix: Tensor) -> Tensor:
    return F.one_hot(torch.tensor(len(mix) - 1), len(mix))


def _has_nni() -> bool:
    return importlib.util.find_spec("nni") is not None


if __name__ == "__main__":
    raise SystemExit(main())
