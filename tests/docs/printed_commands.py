"""The commands that the pages print, as somebody would type them; ``benchmarks/documented.py`` runs them all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ("README.md", "CONTRIBUTING.md", "exported/README.md", "exported/reference/README.md")
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in BESIDE)])
BLOCK = re.compile(r"^ {4,}(?P<prompt>\$ )?(?:.*&& (?:\S*/)?)?(?P<command>nas .*)$")
INLINE = re.compile(r"(?<!`)`(nas [^`]+)`")
COMMENT = re.compile(r"\s{3,}\S.*$|\s+#\s.*$")  # what stands behind a command in a column of its own
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Printed:
    """A command as it stands somewhere, and the lines that stand below it as its output."""

    where: str
    words: tuple[str, ...]
    prose: bool = False
    output: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.where}: nas {' '.join(self.words)}"


def split(command: str) -> tuple[str, ...]:
    """Words behind ``nas``; of alternatives and options in brackets, as a synopsis has them, the first."""
    if "[-" in command:
        command = re.sub(r"[\[\]]", "", re.sub(r" \| [^\]]*", "", command))
    return tuple(word for word in shlex.split(command)[1:] if word != "...")


def commands_of(page: Path) -> Iterator[Printed]:
    """Of indented blocks, whole lines; of the text, what stands between backticks."""
    where = str(page.relative_to(ROOT))
    text = FENCE.sub("", page.read_text())
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if match := BLOCK.match(line):
            indent = " " * match.start("prompt") if match["prompt"] else None
            output = None if indent is None else tuple(output_below(lines[number + 1 :], indent))
            yield Printed(where, split(COMMENT.sub("", match["command"])), output=output)
    prose = "\n".join("" if re.match(r" {4}", line) else line for line in lines)
    for match in INLINE.finditer(prose):
        yield Printed(where, split(" ".join(match[1].split())), prose=True)


def output_below(lines: list[str], indent: str) -> Iterator[str]:
    """What is printed before the block ends or another command begins."""
    for line in lines:
        text = line.removeprefix(indent)
        if (line.strip() and text == line) or text.startswith(("$ ", "nas ")):
            return
        yield text.rstrip()
