"""What is wrong with a data set: one rule per function, each of the whole inspection.

A rule gives one finding with all that it found, or None. Blank samples are told by ``blank_samples`` alone: that two of
them are equal says nothing more. A copy has exactly the same values; a photograph that was scaled or compressed again,
or a recording that was coded with loss, counts as another sample.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from nas.tasks.inventory.items import Inspection, Item

MIN_SAMPLES = 20  # of a class in a split; below, one sample is more than 5 % of the class
MIN_SHARE = 0.1  # of the median class; training hardly ever sees a rarer one. The median, for Speech Commands has
# 17 times as many unknown clips as clips of a keyword, which would make the mean useless.


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: the rule that found it, what it found, and where, one entry for each place."""

    rule: str
    text: str
    where: tuple[str, ...] = ()


def find_all(inspection: Inspection) -> tuple[Finding, ...]:
    """Apply every rule."""
    found = (rule(inspection) for rule in RULES)
    return tuple(finding for finding in found if finding)


def count_samples(inspection: Inspection) -> dict[str, dict[str, int]]:
    """Readable samples per split and label; 0 for a label that the split lacks."""
    counts = Counter((item.place.split, item.place.label) for item in inspection.items)
    return {split: {label: counts[split, label] for label in labels} for split, labels in inspection.required.items()}


def unreadable(inspection: Inspection) -> Finding | None:
    """Files that the loader would stop at."""
    reasons = sorted(each.reason for each in inspection.unreadable)
    return _finding("unreadable", f"files that cannot be used: {len(reasons):,}", reasons)


def missing_parts(inspection: Inspection) -> Finding | None:
    """Parts of the layout that are not there."""
    return _finding("missing_parts", "parts of the data set are not there", inspection.gaps)


def missing_classes(inspection: Inspection) -> Finding | None:
    """Classes that a split has no sample of."""
    where = [
        f"{split}: {label}"
        for split, counts in count_samples(inspection).items()
        for label, count in counts.items()
        if not count
    ]
    return _finding("missing_classes", "classes without a sample", where)


def thin_classes(inspection: Inspection) -> Finding | None:
    """Classes with fewer than 20 samples in a split, or than a tenth of its median class."""
    where = []
    for split, counts in count_samples(inspection).items():
        least = max(MIN_SAMPLES, MIN_SHARE * median(counts.values()))
        where += [f"{split}: {count:,} of {label}" for label, count in counts.items() if 0 < count < least]
    text = f"classes with fewer than {MIN_SAMPLES} samples, or than {MIN_SHARE:.0%} of the median class"
    return _finding("thin_classes", text, where)


def blank_samples(inspection: Inspection) -> Finding | None:
    """Recordings without a sound and images of one colour; silence may be silent."""
    blank = [
        item.place for item in inspection.items if item.content.constant and item.place.label != inspection.quiet_label
    ]
    return _finding(
        "blank_samples", f"samples that are silent or of one colour: {len(blank):,}", sorted(map(str, blank))
    )


def duplicates(inspection: Inspection) -> Finding | None:
    """Copies in the same split, with the same label."""
    groups = [
        same
        for copies in _copies(inspection)
        for same in _equal_ones(copies, lambda item: (item.place.split, item.place.label))
    ]
    extra = Counter[str]()
    for same in groups:
        extra[same[0].place.split] += len(same) - 1
    return _finding("duplicates", f"copies within a split: {_counts(extra)}", map(_names, groups))


def contradictions(inspection: Inspection) -> Finding | None:
    """The same content under two labels: one of them is wrong."""
    groups = [copies for copies in _copies(inspection) if len({item.place.label for item in copies}) > 1]
    text = f"samples that are there with two labels: {len(groups):,}"
    where = (" = ".join(f"{item.place} ({item.place.label})" for item in copies) for copies in groups)
    return _finding("contradictions", text, where)


def leaks(inspection: Inspection) -> Finding | None:
    """The same content in two splits: what is measured there was trained on."""
    if not inspection.disjoint:
        return None
    groups = [copies for copies in _copies(inspection) if len({item.place.split for item in copies}) > 1]
    pairs = _pairs(inspection, ({item.place.split for item in copies} for copies in groups))
    return _finding("leaks", f"the same samples in {_counts(pairs)}", map(_names, groups))


def shared_speakers(inspection: Inspection) -> Finding | None:
    """Speakers whose clips are in two splits: a network may know the voice, not the word."""
    splits = defaultdict[str, set[str]](set)
    for item in inspection.items:
        if item.place.speaker:
            splits[item.place.speaker].add(item.place.split)
    shared = {speaker: names for speaker, names in sorted(splits.items()) if len(names) > 1}
    where = (f"{speaker}: {', '.join(_in_order(inspection, names))}" for speaker, names in shared.items())
    return _finding("shared_speakers", f"the same speakers in {_counts(_pairs(inspection, shared.values()))}", where)


RULES: tuple[Callable[[Inspection], Finding | None], ...] = (
    unreadable,
    missing_parts,
    missing_classes,
    thin_classes,
    blank_samples,
    leaks,
    shared_speakers,
    contradictions,
    duplicates,
)


def _finding(rule: str, text: str, where: Iterable[str]) -> Finding | None:
    places = tuple(where)
    return Finding(rule, text, places) if places else None


def _copies(inspection: Inspection) -> list[list[Item]]:
    """Samples with the same content, two or more, in order of names; of evaluation files, those of the same list."""
    seen = sorted((item for item in inspection.items if not item.content.constant), key=lambda item: str(item.place))
    if inspection.disjoint:
        return _equal_ones(seen, lambda item: item.content.digest)
    return _equal_ones(seen, lambda item: (item.place.split, item.content.digest))


def _equal_ones(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    groups = defaultdict[Hashable, list[Item]](list)
    for item in items:
        groups[key(item)].append(item)
    return [same for same in groups.values() if len(same) > 1]


def _pairs(inspection: Inspection, shared: Iterable[set[str]]) -> Counter[str]:
    """How often each pair of splits shares something: ``"train and test"``."""
    return Counter(" and ".join(pair) for names in shared for pair in combinations(_in_order(inspection, names), 2))


def _in_order(inspection: Inspection, splits: set[str]) -> list[str]:
    return [split for split in inspection.required if split in splits]


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items()))


def _names(items: Iterable[Item]) -> str:
    return " = ".join(str(item.place) for item in items)
