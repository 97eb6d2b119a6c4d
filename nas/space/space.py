"""A search space: decisions with options, and the architectures that they span."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.space.architecture import Architecture
from nas.space.blocks import Block
from nas.space.spec import PointSpec, SpaceSpec, StageSpec

PARTS = ("width", "hidden", "kernel")  # what is decided for each block, by its names in a stage and in a block
DEPTH = "depth"  # what is decided for a stage: how many blocks it has
Choices = Mapping[str, int]  # decision name -> index of the option taken


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to decide, with its options in rising order.

    Attributes:
        stage: name of the stage.
        block: number of the block in it, from 1; 0 where it is the stage's depth.
        part: ``depth``, or what is decided of the block: one of ``PARTS``.
        options: numbers, or kernels as (height, width).
    """

    stage: str
    block: int
    part: str
    options: tuple[int, ...] | tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """As choices and files have it: ``blocks.depth``, ``blocks.2.width``."""
        return decision_name(self.stage, self.block, self.part)

    @property
    def is_depth(self) -> bool:
        """Whether it is the number of blocks of a stage."""
        return self.part == DEPTH

    @property
    def is_width(self) -> bool:
        """Whether its options are numbers of channels."""
        return self.part in ("width", "hidden")


def decision_name(stage: str, block: int, part: str) -> str:
    """Name of a decision, whether there is one or only a single option; ``block`` as in ``Decision``."""
    return f"{stage}.{block}.{part}" if block else f"{stage}.{part}"


@dataclass(frozen=True)
class SearchSpace:
    """What a space file describes. ``sha256`` is the hash of that file, ``origin`` its path."""

    spec: SpaceSpec
    origin: str
    sha256: str

    @property
    def name(self) -> str:
        """Name in the file, the same as its stem."""
        return self.spec.name

    @property
    def task(self) -> str:
        """Task that the space was made for: it fixes the input and the classes."""
        return self.spec.task

    def fitted(self, task: str, input_shape: tuple[int, int, int], classes: int) -> SearchSpace:
        """The same decisions for another task, input (h, w, c) and number of classes."""
        spec = self.spec.model_copy(update={"task": task, "input": input_shape, "classes": classes})
        return replace(self, spec=spec)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision with more than one option, in execution order."""
        every = [decision for stage in self.spec.stage for decision in _stage_decisions(stage)]
        return tuple(decision for decision in every if len(decision.options) > 1)

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures: decisions of blocks that are skipped do not count."""
        return math.prod(
            sum(math.prod(len(getattr(stage, part)) for part in PARTS) ** depth for depth in stage.repeat)
            for stage in self.spec.stage
        )

    def architecture(self, choices: Choices) -> Architecture:
        """The network of one option per decision; a decision that is left out takes its first option.

        Example:
            ``space.architecture({"stem.1.width": 15, "blocks.depth": 3, ...})``
        """
        spec = self.spec
        blocks = tuple(block for stage in spec.stage for block in _stage_blocks(stage, choices))
        return Architecture(spec.name, spec.task, spec.input, spec.classes, blocks, spec.head.kind)

    def blocks_of_many(self, options: Mapping[str, Any]) -> Iterator[tuple[Block, Any]]:
        """The blocks of many networks at once, each with what it says about which of them have it.

        Args:
            options: decision name -> (networks,) indices of the options taken.

        Yields:
            A block whose widths and kernels are arrays where there is a choice, and ``True`` or an array of bool.
        """
        for stage in self.spec.stage:
            depth = np.asarray(stage.repeat)[options.get(decision_name(stage.name, 0, DEPTH), 0)]
            for i in range(int(np.max(depth))):
                parts = {
                    part: _pick(getattr(stage, part), options.get(decision_name(stage.name, i + 1, part)))
                    for part in PARTS
                }
                yield _block(stage, i, parts), True if np.all(depth > i) else depth > i

    def choices(self, architecture: Architecture) -> dict[str, int]:
        """Inverse of ``architecture``: the option taken at every decision that the network really has.

        Raises:
            InputError: the network is no point of this space; names the stage and block.
        """
        taken: dict[str, int] = {}
        for stage in self.spec.stage:
            blocks = [block for block in architecture.blocks if block.stage == stage.name]
            name = decision_name(stage.name, 0, DEPTH)
            taken[name] = self._option(name, stage.repeat, len(blocks))
            for i, block in enumerate(blocks, 1):
                for part in PARTS:
                    name = decision_name(stage.name, i, part)
                    taken[name] = self._option(name, getattr(stage, part), getattr(block, part))
        if self.architecture(taken) != architecture:
            raise InputError(
                f"{architecture.summary()} is no point of the space {self.name}: a kind, stride or head differs"
            )
        names = {decision.name for decision in self.decisions}
        return {name: option for name, option in taken.items() if name in names}

    def sample(self, rng: random.Random) -> Architecture:
        """A random point: uniform over the options of each decision.

        Uniform over points would draw almost only the deepest networks, of which there are most.
        """
        return self.architecture({d.name: rng.randrange(len(d.options)) for d in self.decisions})

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every network one option of one decision away; a block that appears copies the one before it."""
        taken = self.choices(architecture)
        for decision in self.decisions:
            if decision.name not in taken:
                continue
            for step in (-1, 1):
                option = taken[decision.name] + step
                if 0 <= option < len(decision.options):
                    changed = {**taken, decision.name: option}
                    yield self.architecture(self._extended(changed, decision) if decision.is_depth else changed)

    def smallest(self) -> Architecture:
        """The first option everywhere: fewest blocks, narrowest widths, smallest kernels."""
        return self.architecture({})

    def largest(self) -> Architecture:
        """The last option everywhere."""
        return self.architecture({d.name: len(d.options) - 1 for d in self.decisions})

    @cached_property
    def points(self) -> dict[str, Architecture]:
        """The published networks that the file lists.

        Raises:
            InputError: a listed point is outside the space; names it.
        """
        return {point.name: self._point(point) for point in self.spec.point}

    def _point(self, point: PointSpec) -> Architecture:
        name, spec = point.name, self.spec
        for key, table in (("width", point.width), ("hidden", point.hidden)):
            if unknown := sorted(set(table) - {stage.name for stage in spec.stage}):
                raise InputError(f"{self.origin}: point[{name}].{key}.{unknown[0]}: no stage of this name")
        blocks = []
        for stage in spec.stage:
            widths = point.width.get(stage.name, [])
            hidden = point.hidden.get(stage.name, [0] * len(widths))
            if len(hidden) != len(widths):
                raise InputError(f"{self.origin}: point[{name}].hidden.{stage.name}: as many as widths, {len(widths)}")
            for i, (width, inner) in enumerate(zip(widths, hidden, strict=True)):
                blocks.append(_block(stage, i, {"width": width, "hidden": inner, "kernel": stage.kernel[0]}))
        arch = Architecture(spec.name, spec.task, spec.input, spec.classes, tuple(blocks), spec.head.kind)
        try:
            self.choices(arch)
        except InputError as cause:
            raise InputError(f"{self.origin}: point[{name}]: {cause}") from cause
        return arch

    def _extended(self, choices: dict[str, int], depth: Decision) -> dict[str, int]:
        """Choices in which a block that a greater depth adds copies the last one that was there."""
        for each in self.decisions:
            if each.stage == depth.stage and each.block > 1 and each.name not in choices:
                before = decision_name(each.stage, each.block - 1, each.part)
                if before in choices:
                    choices[each.name] = choices[before]
        return choices

    def _option(self, name: str, options: tuple[int, ...] | tuple[tuple[int, int], ...], value: object) -> int:
        if value not in options:
            raise InputError(f"{name} = {value} is no option in the space {self.name} ({options[0]} to {options[-1]})")
        return options.index(value)


def _stage_decisions(stage: StageSpec) -> Iterator[Decision]:
    yield Decision(stage.name, 0, DEPTH, stage.repeat)
    for i in range(1, stage.repeat[-1] + 1):
        for part in PARTS:
            yield Decision(stage.name, i, part, getattr(stage, part))


def _stage_blocks(stage: StageSpec, choices: Choices) -> Iterator[Block]:
    for i in range(stage.repeat[choices.get(decision_name(stage.name, 0, DEPTH), 0)]):
        taken = {part: getattr(stage, part)[choices.get(decision_name(stage.name, i + 1, part), 0)] for part in PARTS}
        yield _block(stage, i, taken)


def _pick(options: Any, indices: Any) -> Any:
    """The only option, or an array of those taken; kernels as (heights, widths)."""
    return options[0] if indices is None else np.asarray(options).T[..., indices]


def _block(stage: StageSpec, index: int, parts: Mapping[str, Any]) -> Block:
    """Block number ``index`` of a stage, from 0: the stride belongs to the first."""
    stride = stage.stride if index == 0 else (1, 1)
    return Block(stage=stage.name, kind=stage.kind, stride=stride, residual=stage.block_kind.adds_input(index), **parts)
