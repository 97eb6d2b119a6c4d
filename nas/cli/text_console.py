"""Rich's console for text that may be anybody's."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from nas.units import printable


class TextConsole(Console):
    """On it text is text: no markup, no emoji codes, no control characters; see ``nas.cli.terminal``."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """For rich; ends of lines stay."""
        for segment in super().render(renderable, options):
            shown = "\n".join(map(printable, segment.text.split("\n")))
            yield segment if segment.control or shown == segment.text else segment._replace(text=shown)
