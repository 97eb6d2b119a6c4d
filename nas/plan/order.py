"""In which order to run the operators of a branching model, so that least is alive at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nas.model_file import ModelFile
from nas.plan.buffers import model_buffers, scratch_requests
from nas.plan.distances import safe_distances
from nas.plan.placement import Kernels, aligned

MOST_TRIED = 100_000  # steps in all, about two seconds; from there on one set of operators is kept
MOST_STATES = 64  # sets of operators that are kept at each step; exact where there never are more


class _State(NamedTuple):
    """Operators that have run, as bits; compared by what matters: the peak so far, then what is alive."""

    peak: int
    alive: int
    order: tuple[int, ...]
    done: int


@dataclass(frozen=True, slots=True)
class _Step:
    """One operator: who must run before it, what it allocates, and what it reads."""

    after: int
    written: int
    scratch: int
    reads: tuple[int, ...]
    distances: dict[int, int]


def best_order(model: ModelFile, kernels: Collection[Kernels]) -> tuple[int, ...]:
    """Positions of the operators in the order in which least memory is alive; as they are where nothing is gained."""
    given = tuple(range(len(model.ops)))
    if not _may_reorder(model):
        return given
    graph, tried = _Graph(model, kernels), 0
    states = [graph.start]
    for _ in given:
        following: dict[int, _State] = {}
        for state in states:
            for one in graph.next_states(state):
                tried += 1
                following[one.done] = min(one, following.get(one.done, one))
        states = sorted(following.values())[: MOST_STATES if tried < MOST_TRIED else 1]
    return states[0].order if states[0].peak < graph.peak(given) else given


def _may_reorder(model: ModelFile) -> bool:
    """Whether operators do nothing but write their outputs, each tensor once."""
    written = [tensor for op in model.ops for tensor in op.outputs]
    plain = all(op.outputs and not op.custom for op in model.ops)
    stateful = any(tensor.variable or tensor.dtype in ("resource", "variant") for tensor in model.tensors)
    return plain and not stateful and model.subgraphs == 1 and len(set(written)) == len(written)


class _Graph:
    def __init__(self, model: ModelFile, kernels: Collection[Kernels]) -> None:
        self.sizes = {one.tensor: one.size_bytes for one in model_buffers(model) if one.tensor < len(model.tensors)}
        self.outputs = frozenset(model.outputs)
        self.start = _State(0, sum(self.sizes.get(tensor, 0) for tensor in model.inputs), (), 0)
        writer = {tensor: position for position, op in enumerate(model.ops) for tensor in op.outputs}
        self.readers: dict[int, int] = {}
        self.steps: list[_Step] = []
        for position, op in enumerate(model.ops):
            reads = tuple({tensor for tensor in op.inputs if tensor in self.sizes})
            for tensor in reads:
                self.readers[tensor] = self.readers.get(tensor, 0) | 1 << position
            self.steps.append(
                _Step(
                    after=sum({1 << writer[tensor] for tensor in reads if tensor in writer}),
                    written=sum(self.sizes.get(tensor, 0) for tensor in op.outputs),
                    scratch=sum(int(aligned(size)) for size in scratch_requests(model, op)),
                    reads=reads,
                    distances=safe_distances(model, op, kernels) if kernels else {},
                )
            )

    def next_states(self, state: _State) -> Iterator[_State]:
        """What may run next."""
        for position, step in enumerate(self.steps):
            if not state.done >> position & 1 and step.after & ~state.done == 0:
                yield self.run(state, position)

    def peak(self, order: Collection[int]) -> int:
        """Bytes alive at once, at most, in one order."""
        state = self.start
        for position in order:
            state = self.run(state, position)
        return state.peak

    def run(self, state: _State, position: int) -> _State:
        """Run one operator."""
        step, done = self.steps[position], state.done | 1 << position
        dying = [t for t in step.reads if t not in self.outputs and self.readers[t] & ~done == 0]
        shared = sum(
            max(min(self.sizes[tensor], step.written - aligned(step.distances[tensor])), 0)
            for tensor in dying
            if tensor in step.distances
        )
        during = state.alive + step.written + step.scratch - min(shared, step.written)
        alive = state.alive + step.written - sum(self.sizes[tensor] for tensor in dying)
        return _State(max(state.peak, during), alive, (*state.order, position), done)
