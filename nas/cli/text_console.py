"""A rich console for text from untrusted files."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from nas.units import printable


class TextConsole(Console):
    """A console that prints text literally. It interprets no markup and escapes control characters."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with unsafe characters escaped. Line ends are kept."""
        for segment in super().render(renderable, options):
            shown = "\n".join(map(printable, segment.text.split("\n")))
            yield segment if segment.control or shown == segment.text else segment._replace(text=shown)
