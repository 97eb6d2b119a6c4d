"""The site: ``python -m sphinx -W -b html docs site``. Pages of other folders and the help of every command are copied
into ``docs/_generated`` when it is built, which git ignores."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"
sys.path.insert(0, str(ROOT))

from nas import __version__  # noqa: E402

project = "mcu-nas"
author = "the authors of mcu-nas"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "mcu-nas"
html_show_copyright = False
highlight_language = "none"  # pages show commands and what they print
myst_heading_anchors = 3  # as GitHub makes them, so that links work there and here
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# Pages that stand where GitHub shows them -> their name here.
ELSEWHERE = {
    "README.md": "overview",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "exported/README.md": "runs",
    "exported/reference/README.md": "reference_networks",
}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
HELP_COLUMNS = "90"  # as wide as the theme shows text


def _relink(text: str, page: Path, shown: Path) -> str:
    """Links of a page of the repository as seen from the place where the site has it."""

    def target(match: re.Match[str]) -> str:
        path = (page.parent / match[1]).resolve()
        name = ELSEWHERE.get(str(path.relative_to(ROOT)))
        return os.path.relpath(GENERATED / f"{name}.md" if name else path, shown.parent)

    return LINK.sub(target, text)


def _copy_pages(app: Sphinx) -> None:
    """Write what is not in this folder, before Sphinx looks for pages."""
    GENERATED.mkdir(exist_ok=True)
    pages = {GENERATED / f"{name}.md": _relink((ROOT / path).read_text(), ROOT / path, GENERATED / "x.md")
             for path, name in ELSEWHERE.items()}  # fmt: skip
    pages[GENERATED / "commands.md"] = _commands_page()
    for path, text in pages.items():
        if not path.is_file() or path.read_text() != text:  # what has not changed is not read again
            path.write_text(text)


def _relink_page(app: Sphinx, name: str, source: list[str]) -> None:
    if not name.startswith(GENERATED.name):
        page = DOCS / f"{name}.md"
        source[0] = _relink(source[0], page, page)


def _commands_page() -> str:
    """What ``--help`` prints, for each command."""
    parts = ["# Commands\n\nEvery command with `--help`, as it prints it.\n"]
    for words in command_names():
        name = " ".join(["nas", *words])
        parts.append(f"## {name}\n\n```text\n{_help(words)}\n```\n")
    return "\n".join(parts)


def command_names() -> list[list[str]]:
    """The words of every command, that of the whole first."""
    import typer.main

    from nas.cli.app import app

    def below(group: object, words: list[str]) -> list[list[str]]:
        found = [words]
        for name, command in getattr(group, "commands", {}).items():
            found += below(command, [*words, name])
        return found

    return below(typer.main.get_command(app), [])


def _help(words: list[str]) -> str:
    from typer.testing import CliRunner

    from nas.cli.app import app

    environment = {"COLUMNS": HELP_COLUMNS, "TERMINAL_WIDTH": HELP_COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="nas", env=environment)
    if done.exit_code:
        raise RuntimeError(f"nas {' '.join(words)} --help ended with {done.exit_code}: {done.output}")
    lines = [line.rstrip() for line in click.unstyle(done.output).strip("\n").splitlines()]
    return "\n".join(lines)


def setup(app: Sphinx) -> None:
    """Hooks of Sphinx."""
    app.connect("builder-inited", _copy_pages)
    app.connect("source-read", _relink_page)
