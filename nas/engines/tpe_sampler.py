"""Optuna's tree-structured Parzen estimator, asked for the best point that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.samplers import TPESampler

DRAWS = 48  # as fast as 24, Optuna's default, in a proposal of 20 ms; some of them do not fit


class FeasibleTPESampler(TPESampler):
    """Of the points drawn where good candidates lie, takes the one of highest expected gain that ``fits``.

    Without this, a draw that does not fit costs another look at all candidates: 50 ms for a proposal where this takes
    17, 130 ms at 2,000 candidates where this takes 40.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(n_startup_trials=0, n_ei_candidates=DRAWS, seed=seed)
        self.fits: Callable[[Mapping[str, int]], bool] = lambda options: True

    def _compute_acquisition_func(self, samples: dict[str, Any], *estimators: Any) -> Any:
        """Expected gain of each sample: (samples,). Were this not called any more, draws would be rejected later."""
        gains = super()._compute_acquisition_func(samples, *estimators)
        for i in np.argsort(-gains, kind="stable"):
            if self.fits({name: int(options[i]) for name, options in samples.items()}):
                gains[i] = np.inf
                break
        return gains
