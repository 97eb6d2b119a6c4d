"""Differentiable search: one descent over shared weights, then the networks that it likes best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nas.engines.base import Candidate, SearchRequest

if TYPE_CHECKING:
    import optuna

# The likeliest network and draws, each from further around, before a random one is taken: in small spaces no other is
# left.
ASKS = 9


def search_dnas(request: SearchRequest) -> Iterator[Candidate]:
    """Descend once, then evaluate the likeliest network, made to fit exactly, and draws from around it.

    Whoever asks for it gives a ``GradientSearch`` in the request, and evaluates with its shared weights: they are only
    trained when the first candidate is asked for.
    """
    if request.gradient is None:
        raise ValueError("a gradient search needs shared weights: SearchRequest.gradient is None")
    from nas.engines.descent import Descent
    from nas.engines.draws import DescentSampler
    from nas.engines.proposals import Method
    from nas.engines.study import search

    if request.stop(request.history):
        return
    descent = Descent(request.space, request.budget, request.gradient.shared, request.seed)
    descent.run(request.gradient.on_epoch, request.gradient.checkpoint)

    def sampler(study: optuna.Study, trial: optuna.trial.FrozenTrial, seed: int) -> optuna.samplers.BaseSampler:
        return DescentSampler(descent, seed)

    yield from search(request, Method("dnas", sampler, prunes=False, asks=ASKS))
