"""A page escapes what it is given, and stands by itself."""

from __future__ import annotations

import base64
import re

import pytest

from nas.report.page import Card, Page, Picture, StudyPage, classes_of, render_page

EVIL = "<script>alert('x')</script>\"'&{{ 7 * 7 }}"
PICTURE = Picture(EVIL, b"<svg><script>alert(1)</script></svg>", EVIL)
ROWS = classes_of([EVIL, "no", "none"], [[8, 2, 0], [1, 9, 0], [0, 0, 0]], [[7, 3, 0], [0, 10, 0], [0, 0, 0]])


def page() -> Page:
    facts, cards = [(EVIL, EVIL)], [Card(EVIL, EVIL, EVIL, 1.2), Card("ops", "1 M", "no budget")]
    return Page(EVIL, EVIL, EVIL, cards, [PICTURE], [], facts, EVIL, EVIL, ROWS)


def study_page() -> StudyPage:
    return StudyPage(EVIL, EVIL, EVIL, [EVIL], PICTURE, [EVIL], [[EVIL]], EVIL, EVIL)


@pytest.mark.parametrize("made", [page(), study_page()], ids=["run", "study"])
def test_whatever_is_shown_is_escaped(made: Page | StudyPage) -> None:
    html = render_page(made).decode()
    assert "<script" not in html
    assert "49" not in html.replace("{{ 7 * 7 }}", "").partition("<main>")[2]
    assert html.count("&lt;script&gt;alert(&#39;x&#39;)") >= 6
    assert base64.b64encode(PICTURE.svg).decode() in html


@pytest.mark.parametrize("made", [page(), study_page()], ids=["run", "study"])
def test_it_needs_nothing_else(made: Page | StudyPage) -> None:
    html = render_page(made).decode()
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|https?:", html)


def test_classes_without_samples_are_left_out() -> None:
    assert [(row.number, row.samples, row.share_float, row.share_int8) for row in ROWS] == [
        (0, 10, 0.8, 0.7),
        (1, 10, 0.9, 1.0),
    ]
    assert [cell.count for cell in ROWS[0].row] == [7, 3, 0]
    assert [cell.strength for cell in ROWS[0].row] == [0.7, 0.3, 0.0]


def test_what_exceeds_its_budget_is_red() -> None:
    html = render_page(page()).decode()
    assert html.count('class="over"') == html.count('<div class="bar">') == 1
    assert "width: 100%" in html
