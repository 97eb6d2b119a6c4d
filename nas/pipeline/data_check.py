"""Look a data set over before hours are spent on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.errors import DataError
from nas.pipeline.reporter import Reporter
from nas.tasks.evaluation import LISTS
from nas.tasks.inventory import (
    Builtin,
    Finding,
    Inspection,
    Layout,
    count_samples,
    find_all,
    find_layout,
    inspect_evaluation,
    summarize_sizes,
)
from nas.tasks.sources import resolve_source


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What is known of a data set.

    Attributes:
        task: what it is for.
        data: its name.
        folder: where it lies; None for generated data.
        samples: readable samples per split and class.
        sizes: see ``summarize_sizes``; None for generated data.
        findings: what is wrong, gravest first.
        notes: facts that are no faults.
        error: why it cannot be used; None where it can.
    """

    task: str
    data: str
    folder: Path | None
    samples: dict[str, dict[str, int]]
    sizes: dict[str, Any] | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``nas data check --json`` prints."""
        return {
            "task": self.task,
            "data": {
                "name": self.data,
                "synthetic": self.folder is None,
                "folder": None if self.folder is None else str(self.folder),
                **{split: sum(counts.values()) for split, counts in self.samples.items()},
            },
            "usable": self.error is None,
            "error": self.error,
            "samples": self.samples,
            "sizes": self.sizes,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }


def check_data(task: str, data: str | None, reporter: Reporter) -> DataCheck:
    """Read every sample of a data set and judge it.

    Args:
        task: as on the command line.
        data: a data set, a folder of the benchmark's evaluation files, ``builtin``, or None for what a search would
            take (see ``Task.load``).
        reporter: told of the reading, which takes seconds.

    Raises:
        InputError: no such task.
        DataError: no such folder, or nothing that could be a data set of the task.
    """
    layout = find_layout(task)
    folder = resolve_source(layout.folder, data)
    if folder is None:
        return _describe_builtin(task, layout.builtin)
    inspection = _inspect(layout, folder, reporter)
    return DataCheck(
        task,
        inspection.data,
        folder,
        count_samples(inspection),
        summarize_sizes(inspection),
        find_all(inspection),
        (*inspection.notes, *_part_of_official(inspection)),
        _why_unusable(inspection),
    )


def _inspect(layout: Layout, folder: Path, reporter: Reporter) -> Inspection:
    if layout.wire and any(folder.glob(LISTS)):
        return inspect_evaluation(folder, layout.wire, reporter.progress)
    return layout.inspect(folder, reporter.progress)


def _describe_builtin(task: str, builtin: Builtin | None) -> DataCheck:
    """Counts only: that a program makes it anew each time leaves nothing to find."""
    if builtin is None:
        raise DataError(f"no data for {task}: nothing is built in; name a folder with --data DIR")
    return DataCheck(task, builtin.name, None, builtin.samples, None, (), (builtin.notice,))


def _part_of_official(inspection: Inspection) -> tuple[str, ...]:
    counts = {split: sum(labels.values()) for split, labels in count_samples(inspection).items()}
    fewer = [
        f"{split} {counts[split]:,} of {total:,}"
        for split, total in inspection.official.items()
        if counts[split] < total
    ]
    return (f"this is a part of the official set: {', '.join(fewer)}",) if fewer else ()


def _why_unusable(inspection: Inspection) -> str | None:
    """As the loader tells it, which stops at the first."""
    if not inspection.unreadable:
        return None
    first, others = inspection.unreadable[0].reason, len(inspection.unreadable) - 1
    return f"{first}\nand {others:,} more that cannot be used" if others else first
