"""A run as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.cost.cost_report import CostReport
from nas.report.published_plot import KnownNetwork
from nas.units import printable


@dataclass(frozen=True, slots=True)
class Card:
    """One figure that everybody looks for."""

    label: str
    value: str
    note: str
    used: float | None = None
    """Share of its budget."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG."""

    title: str
    svg: bytes
    note: str

    @property
    def base64(self) -> str:
        """As a data URI holds it: as an image, a picture can neither run anything nor clash with another's names."""
        return base64.b64encode(self.svg).decode()


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the winner."""

    name: str
    kind: str
    shape: str
    macs: int
    macs_share: float
    flash: int
    live: int
    live_share: float


@dataclass(frozen=True, slots=True)
class Cell:
    """How many of a class were taken for another, and how strongly that is shaded."""

    count: int
    strength: float


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How well one class is told from the others."""

    number: int
    name: str
    samples: int
    share_float: float
    share_int8: float
    row: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """All that a page says."""

    title: str
    summary: str
    warning: str
    cards: Sequence[Card]
    pictures: Sequence[Picture]
    layers: Sequence[Layer]
    facts: Sequence[tuple[str, str]]
    command: str
    footer: str
    classes: Sequence[ClassRow] = field(default_factory=tuple)
    published: Sequence[KnownNetwork] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class StudyPage:
    """All that a page says of a study."""

    title: str
    summary: str
    warning: str
    sentences: Sequence[str]
    picture: Picture
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    command: str
    footer: str


def render_page(page: Page | StudyPage) -> bytes:
    """The file; whatever the page holds is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("nas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_showable,
    )
    name = "run.html" if isinstance(page, Page) else "study.html"
    return templates.get_template(name).render(page=page).encode()


def _showable(value: Any) -> Any:
    """Of what a template is given, text with escapes in place of what would move or turn round what follows it."""
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value


def layers_of(report: CostReport) -> list[Layer]:
    """Every operator with its shares; one that is not known counts no MACs."""
    macs = sum(layer.macs or 0 for layer in report.layers) or 1
    peak = max(layer.live_bytes for layer in report.layers) or 1
    return [
        Layer(
            layer.name,
            layer.kind.lower().replace("_", " "),
            " x ".join(map(str, layer.output_shape[1:])),
            layer.macs or 0,
            (layer.macs or 0) / macs,
            layer.constant_bytes,
            layer.live_bytes,
            layer.live_bytes / peak,
        )
        for layer in report.layers
    ]


def classes_of(names: Sequence[str], floats: Sequence[Sequence[int]], int8: Sequence[Sequence[int]]) -> list[ClassRow]:
    """Two confusion matrices, rows what it is, as rows of the page; classes without samples are left out."""
    rows = []
    for number, name in enumerate(names):
        samples = sum(int8[number])
        if samples:
            cells = tuple(Cell(count, round(count / samples, 3)) for count in int8[number])
            rows.append(
                ClassRow(number, name, samples, floats[number][number] / samples, int8[number][number] / samples, cells)
            )
    return rows
