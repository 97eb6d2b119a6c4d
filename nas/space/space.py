"""A search space: decisions with options, and the architectures that they span."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.space.architecture import Architecture
from nas.space.blocks import BLOCKS, Block
from nas.space.spec import PointSpec, SpaceSpec, StageSpec

PARTS = ("width", "hidden", "kernel")  # what is decided for each block, by its names in a stage and in a block
DEPTH, KIND, STRIDE = "depth", "kind", "stride"  # what is decided for a stage
Choices = Mapping[str, int]  # decision name -> index of the option taken
Options = tuple[int, ...] | tuple[str, ...] | tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to decide, with its options; depths, widths and kernels rise.

    Attributes:
        stage: name of the stage.
        block: number of the block in it, from 1; 0 where it is about the whole stage.
        part: what is decided: ``depth``, ``kind`` or ``stride`` of the stage, or one of ``PARTS`` of the block.
        options: numbers, kinds, or kernels and strides as (height, width).
    """

    stage: str
    block: int
    part: str
    options: Options

    @property
    def name(self) -> str:
        """Return the name that choices and files use: ``blocks.depth``, ``blocks.2.width``."""
        return decision_name(self.stage, self.block, self.part)

    @property
    def is_depth(self) -> bool:
        """Whether it is the number of blocks of a stage."""
        return self.part == DEPTH

    @property
    def is_width(self) -> bool:
        """Whether its options are numbers of channels."""
        return self.part in ("width", "hidden")

    @property
    def is_structural(self) -> bool:
        """Whether networks that differ in it have other operators, or maps of other sizes; depths above 0 have not."""
        return self.part in (KIND, STRIDE)


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
        return math.prod(_stage_size(stage) for stage in self.spec.stage)

    @property
    def is_structured(self) -> bool:
        """Whether its networks differ in the kind or stride of a stage, or in which stages they have."""
        return any(len(stage.kinds) > 1 or len(stage.strides) > 1 or stage.repeat[0] == 0 for stage in self.spec.stage)

    def of_structure(self, architecture: Architecture) -> SearchSpace:
        """Those of its networks that have the stages, kinds and strides of one of them."""
        firsts = {block.stage: block for block in reversed(architecture.blocks)}
        stages = [
            stage.model_copy(
                update={
                    "kinds": (firsts[stage.name].kind,),
                    "strides": (firsts[stage.name].stride,),
                    "repeat": tuple(depth for depth in stage.repeat if depth),
                    "hidden": stage.hidden if BLOCKS[firsts[stage.name].kind].has_hidden else (0,),
                }
            )
            for stage in self.spec.stage
            if stage.name in firsts
        ]
        return replace(self, spec=self.spec.model_copy(update={"stage": stages, "point": []}))

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

        Raises:
            ValueError: they differ in the kind or stride of a stage, or in whether they have it: see ``structures``.
        """
        for stage in self.spec.stage:
            depth = np.asarray(stage.repeat)[options.get(decision_name(stage.name, 0, DEPTH), 0)]
            kind = stage.kinds[_only(options.get(decision_name(stage.name, 0, KIND), 0))]
            stride = stage.strides[_only(options.get(decision_name(stage.name, 0, STRIDE), 0))]
            _only(depth > 0)
            for i in range(int(np.max(depth))):
                parts = {
                    part: _pick(getattr(stage, part), options.get(decision_name(stage.name, i + 1, part)))
                    for part in PARTS
                }
                yield make_block(stage, kind, stride, i, parts), True if np.all(depth > i) else depth > i

    def choices(self, architecture: Architecture) -> dict[str, int]:
        """Inverse of ``architecture``: the option taken at every decision that the network really has.

        Raises:
            InputError: the network is no point of this space; names the stage and block.
        """
        taken: dict[str, int] = {}
        for stage in self.spec.stage:
            blocks = [block for block in architecture.blocks if block.stage == stage.name]
            for number, part, options, value in _options_taken(stage, blocks):
                name = decision_name(stage.name, number, part)
                taken[name] = self._option(name, options, value)
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
        for key in ("width", "hidden", "kind", "stride", "kernel"):
            table = getattr(point, key)
            if unknown := sorted(set(table) - {stage.name for stage in spec.stage}):
                raise InputError(f"{self.origin}: point[{name}].{key}.{unknown[0]}: no stage of this name")
        blocks = []
        for stage in spec.stage:
            widths = point.width.get(stage.name, [])
            hidden = point.hidden.get(stage.name, [0] * len(widths))
            if len(hidden) != len(widths):
                raise InputError(f"{self.origin}: point[{name}].hidden.{stage.name}: as many as widths, {len(widths)}")
            for i, (width, inner) in enumerate(zip(widths, hidden, strict=True)):
                parts = {"width": width, "hidden": inner, "kernel": point.kernel.get(stage.name, stage.kernel[0])}
                kind = point.kind.get(stage.name, stage.kinds[0])
                stride = point.stride.get(stage.name, stage.strides[0])
                blocks.append(replace(make_block(stage, kind, stride, i, parts), hidden=inner))
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

    def _option(self, name: str, options: Options, value: object) -> int:
        if value not in options:
            there = f"{options[0]} to {options[-1]}" if len(options) > 1 else f"only {options[0]}"
            raise InputError(f"{name} = {value} is no option in the space {self.name} ({there})")
        return options.index(value)


def _stage_decisions(stage: StageSpec) -> Iterator[Decision]:
    yield Decision(stage.name, 0, KIND, stage.kinds)
    yield Decision(stage.name, 0, STRIDE, stage.strides)
    yield Decision(stage.name, 0, DEPTH, stage.repeat)
    for i in range(1, stage.repeat[-1] + 1):
        for part in PARTS:
            yield Decision(stage.name, i, part, getattr(stage, part))


def _stage_blocks(stage: StageSpec, choices: Choices) -> Iterator[Block]:
    def taken(number: int, part: str, options: Any) -> Any:
        return options[choices.get(decision_name(stage.name, number, part), 0)]

    kind, stride = taken(0, KIND, stage.kinds), taken(0, STRIDE, stage.strides)
    for i in range(taken(0, DEPTH, stage.repeat)):
        yield make_block(stage, kind, stride, i, {part: taken(i + 1, part, getattr(stage, part)) for part in PARTS})


def _options_taken(stage: StageSpec, blocks: Sequence[Block]) -> Iterator[tuple[int, str, Any, Any]]:
    """Block number, part, options and value of each decision about a stage that a network with these blocks has."""
    yield 0, DEPTH, stage.repeat, len(blocks)
    if blocks:
        yield 0, KIND, stage.kinds, blocks[0].kind
        yield 0, STRIDE, stage.strides, blocks[0].stride
    for i, block in enumerate(blocks, 1):
        for part in PARTS:
            if part != "hidden" or BLOCKS[block.kind].has_hidden or block.hidden:
                yield i, part, getattr(stage, part), getattr(block, part)


def _stage_size(stage: StageSpec) -> int:
    """Number of different stages; one that has no blocks has neither kind nor stride."""
    total = 0
    for kind, depth in itertools.product(stage.block_kinds, stage.repeat):
        parts = [len(getattr(stage, part)) for part in PARTS if part != "hidden" or kind.has_hidden]
        total += len(stage.strides) * math.prod(parts) ** depth if depth else 0
    return total + (stage.repeat[0] == 0)


def _only(values: Any) -> Any:
    """The value that all have."""
    first, *others = np.unique(values)
    if others:
        raise ValueError("networks of one graph differ in kind, stride or stages: group them with structures()")
    return first


def _pick(options: Any, indices: Any) -> Any:
    """The only option, or an array of those taken; kernels as (heights, widths)."""
    return options[0] if indices is None else np.asarray(options).T[..., indices]


def make_block(stage: StageSpec, kind: str, stride: tuple[int, int], index: int, parts: Mapping[str, Any]) -> Block:
    """Block number ``index`` of a stage, from 0: the stride belongs to the first."""
    known = BLOCKS[kind]
    return Block(
        stage.name,
        kind,
        parts["width"],
        parts["kernel"],
        stride if index == 0 else (1, 1),
        parts["hidden"] if known.has_hidden else 0,
        known.adds_input(index),
    )
