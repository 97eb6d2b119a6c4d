"""A search that several machines share: where its study is, and what they must agree on."""

from __future__ import annotations

from nas.engines import StudyPlace, without_secrets
from nas.pipeline.request import SearchPlan, plan_search
from nas.pipeline.session import Session


def study_place(plan: SearchPlan, session: Session, epochs: int) -> StudyPlace | None:
    """Where the study is shared, and what its workers must agree on."""
    if plan.options.storage is None:
        return None
    identity = {
        "task": plan.task.name,
        "space": f"{plan.space.name} {plan.space.sha256[:12]}",
        "budget": ", ".join(f"{name} {bound}" for name, bound in plan_search(plan.options).budget.bounds().items()),
        "plan": f"{plan.options.plan} on {plan.options.kernels}",
        "data": session.dataset.fingerprint[:12],
        "scoring": f"{plan.scoring.value}, {epochs} epochs, from {plan.least:.1%} of the budget",
        "seed": str(plan.options.seed),
    }
    return StudyPlace(plan.options.storage, f"nas-{plan.task.name}", identity, tell=session.reporter.warn)


def shown_storage(storage: str | None) -> str | None:
    """The URL of a storage as it is written down, without its secrets."""
    return None if storage is None else without_secrets(storage)
