from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.tasks.holding_out import hold_out, speaker_of

SPLITS = ("validation", "test")
clips = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=200)


@given(clips, st.integers(1, 4))
def test_groups_stay_together_and_every_class_has_its_least(chosen: list[tuple[int, int]], least: int) -> None:
    groups, labels = [f"speaker{group}" for group, _ in chosen], [label for _, label in chosen]
    owners = hold_out(groups, labels, 0.1, least, SPLITS)
    if owners is None:
        return
    assert len(set(zip(groups, owners, strict=True))) == len(set(groups))
    found = Counter(zip(owners, labels, strict=True))
    assert all(found[split, label] >= least for split in (*SPLITS, "train") for label in set(labels))


@given(st.permutations(range(60)))
def test_the_order_of_files_does_not_matter(order: list[int]) -> None:
    names, labels = [f"hash{index}" for index in range(60)], [index % 3 for index in range(60)]
    owners = hold_out(names, labels, 0.1, 1, SPLITS)
    shuffled = hold_out([names[i] for i in order], [labels[i] for i in order], 0.1, 1, SPLITS)
    assert owners is not None
    assert shuffled == [owners[index] for index in order]


def test_a_tenth_of_each_class_is_held_out() -> None:
    owners = hold_out([str(index) for index in range(300)], [index % 3 for index in range(300)], 0.1, 1, SPLITS)
    assert owners is not None
    assert Counter(zip(owners, (index % 3 for index in range(300)), strict=True)) == {
        (split, label): count
        for split, count in (("train", 80), ("validation", 10), ("test", 10))
        for label in range(3)
    }


def test_too_little_to_hold_out() -> None:
    assert hold_out(["a", "b"], [0, 0], 0.1, 1, SPLITS) is None
    assert hold_out(["a"] * 9, [0] * 9, 0.1, 1, ("test",)) is None
    assert hold_out(["a", "b", "c"], [0, 0, 0], 0.1, 1, SPLITS) is not None


@pytest.mark.parametrize(
    ("stem", "speaker"), [("0a7c2a8d_nohash_0", "0a7c2a8d"), ("clip_3", None), ("a_b_nohash_12", "a_b")]
)
def test_speakers_are_read_from_official_names(stem: str, speaker: str | None) -> None:
    assert speaker_of(stem) == speaker


def test_shares_are_rounded() -> None:
    """A tenth of 16 is nearer to 2 than to 1."""
    owners = hold_out([str(index) for index in range(16)], [0] * 16, 0.1, 1, SPLITS)
    assert owners is not None
    assert Counter(owners) == {"train": 12, "validation": 2, "test": 2}
