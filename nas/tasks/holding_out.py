"""Which recordings are held out for validation and test, where a data set does not say so itself.

Groups go to a split as a whole: the clips of one speaker, or the copies of one file. The hash of a group's name decides
which ones, so that the choice depends neither on names of folders, order nor machine.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

SPEAKER = re.compile(r"(.+)_nohash_\d+")  # Speech Commands (arXiv:1804.03209, section 5.6)


def speaker_of(stem: str) -> str | None:
    """The speaker that a file name of Speech Commands' kind tells; None for any other name."""
    match = SPEAKER.fullmatch(stem)
    return match[1] if match else None


def hold_out(
    groups: Sequence[str], labels: Sequence[int], share: float, least: int, splits: Sequence[str]
) -> list[str] | None:
    """Give each clip one of ``splits``, or ``"train"``.

    Args:
        groups: group of each clip.
        labels: class of each clip.
        share: of a class's clips that go to each split.
        least: fewest clips of each class in each split, and for training.
        splits: to fill.

    Returns:
        None where there are too few clips or groups for that.
    """
    order = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        counts[group][label] += 1
    total = Counter(labels)
    chosen: dict[str, str] = {}
    for split in splits:
        for label in sorted(total):
            wanted = max(least, round(share * total[label]))
            have = sum(counts[group][label] for group, owner in chosen.items() if owner == split)
            for group in order:
                if have >= wanted:
                    break
                if counts[group][label] and group not in chosen:
                    chosen[group] = split
                    have += counts[group][label]
    owners = [chosen.get(group, "train") for group in groups]
    found = Counter(zip(owners, labels, strict=True))
    enough = all(found[split, label] >= least for split in (*splits, "train") for label in total)
    return owners if enough else None
