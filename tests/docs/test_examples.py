"""What the pages, the README and ``--help`` print can be typed: the examples run, the rest is parsed by the command.

Left at parsing: what trains for minutes, goes on with an interrupted run, waits for a client, or needs a board, a meter
or a data base. The site itself is built by ``.ci/run``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer.main
from made_cifar10 import write_cifar10
from made_data import write_clip, write_pictures, write_speech
from printed_commands import FENCE, PAGES, ROOT, Printed, commands_of, split

import nas
from nas.budget import ProfileSpec, load_mcu
from nas.cli.app import app
from nas.pipeline.request import SearchOptions, plan_search
from nas.space import load_space
from nas.space.lookup import find_architecture

Call = Callable[..., Any]
HELP = re.compile(r"^(?:[^\n:]*: )?(nas .*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"^[A-Z][A-Z.]*$")
UNFINISHED = {"MissingParameter", "NoArgsIsHelpError"}  # prose may name a command without its arguments,
EXCUSED = re.compile(r"requires an argument|'[A-Z]+' is not a valid")  # a flag without its value, or N for a number


def below(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group by its words."""
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from below(each, (*words, name))


@cache
def whole() -> Any:
    return typer.main.get_command(app)


def examples() -> list[Printed]:
    """What the help of each command shows."""
    found = []
    for words, command in below(whole()):
        for text in (command.help or "", command.epilog or ""):
            where = " ".join(("nas", *words, "--help"))
            found += [Printed(where, split(each)) for each in HELP.findall(text)]
    return found


def problem(printed: Printed) -> str | None:
    """What the command's own parser has against it."""
    words, command, context = list(printed.words), whole(), None
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"{printed}: no command {name}"
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        command = command.commands[name]
    try:
        command.make_context(printed.words[0] if printed.words else "nas", words, parent=context)
    except SystemExit:
        return None
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        excused = printed.prose and (kinds & UNFINISHED or EXCUSED.search(str(error)))
        return None if excused or "Exit" in kinds else f"{printed}: {error}"
    return None


ALL = [printed for page in PAGES for printed in commands_of(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_printed_command_is_understood(page: Path) -> None:
    assert [found for printed in commands_of(page) if (found := problem(printed))] == []


def test_commands_are_found_and_wrong_ones_noticed() -> None:
    assert len([printed for printed in ALL if not printed.prose]) > 80
    assert len([printed for printed in ALL if printed.prose]) > 80
    for words in ("serach", "search --flahs 2KB", "search --trials many", "validate --task kws", "data fetch kws"):
        assert problem(Printed("test", tuple(words.split()))) is not None
    assert problem(Printed("test", ("validate",), prose=True)) is None
    assert problem(Printed("test", ("search", "--flahs"), prose=True)) is not None


@pytest.mark.parametrize("words", [words for words, _ in below(whole())], ids=lambda words: " ".join(("nas", *words)))
def test_every_command_has_an_example_in_its_help(words: tuple[str, ...]) -> None:
    mine = [printed for printed in examples() if printed.where == " ".join(("nas", *words, "--help"))]
    assert mine
    assert all(printed.words[: len(words)] == words for printed in mine)
    assert [found for printed in mine if (found := problem(printed))] == []


def test_networks_that_are_named_exist() -> None:
    for printed in (*ALL, *examples()):
        for word in printed.words:
            if re.fullmatch(r"[a-z]+_[a-z_0-9]+:[a-z0-9-]+", word) and not word.startswith("kws_mine"):
                find_architecture(word)


def snippets(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a language."""
    return [
        (page.name, match[2]) for page in PAGES for match in FENCE.finditer(page.read_text()) if match[1] == language
    ]


def write_snippets(folder: Path) -> list[Path]:
    """The data files that pages tell how to write, where the pages put them."""
    written = []
    for page, text in snippets("toml"):
        (name,) = re.findall(r'^name = "(\w+)"', text.split("[[stage]]")[0], re.MULTILINE)
        path = folder / ("search_spaces" if "[[stage]]" in text else "constraints") / f"{name}.toml"
        assert f"`{path.relative_to(folder)}`:" in (ROOT / "docs" / page).read_text()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written


def test_data_files_of_the_pages_are_read_by_the_real_loaders(tmp_path: Path) -> None:
    board, share, space = write_snippets(tmp_path)
    limits = load_mcu(str(board)).limits()
    assert (limits.flash_bytes, limits.sram_bytes) == (524_288 - 131_072, 98_304 - 16_384)
    assert limits.clock is not None
    assert isinstance(load_mcu(str(share)), ProfileSpec)
    assert load_space(space).points["first-guess"].graph.ops


def asked(task: str, **options: Any) -> Any:
    """In place of ``nas.search``, which trains: whether the request is possible."""
    plan_search(SearchOptions(task, **options))
    return SimpleNamespace(run="run", report={"winner": {"int8_score": 0.9}})


@pytest.mark.parametrize(("page", "text"), snippets("python"))
def test_python_of_the_pages_runs(
    page: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas, "search", asked)
    exec(compile(text, page, "exec"), {})
    shown = capsys.readouterr().out
    assert shown
    if expected := re.search(r"print\(.*\)  # (.*)$", text, re.MULTILINE):
        assert shown == f"{expected[1]}\n"


def test_calls_of_nas_search_in_prose_are_possible(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    texts = [*(page.read_text() for page in PAGES), nas.__doc__ or ""]
    calls = [found for text in texts for found in re.findall(r"nas\.search\((.+?)\)", text)]
    assert len(calls) >= 3
    for arguments in calls:
        eval(f"asked({arguments})", {"asked": asked})


def write_evaluation(folder: Path, classes: int, size: int) -> None:
    """Files of the benchmark's runner: random inputs, one of each class."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"{label}.bin").write_bytes(rng.integers(0, 256, size, np.uint8).tobytes())
    (folder / "y_labels.csv").write_text("".join(f"{label}.bin,{classes},{label}\n" for label in range(classes)))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has what the examples name."""
    root = tmp_path_factory.mktemp("prepared")
    reference = ROOT / "exported" / "reference"
    shutil.copytree(reference, root / "exported" / "reference")
    for run in ("exported/kws-20261122-101500", "kws-run", "found", "teacher"):
        shutil.copytree(reference / "kws-64kb", root / run)
    for name in ("model.tflite", "kws_ref_model.tflite", "vww_96_int8.tflite"):
        shutil.copy(reference / "kws-64kb" / "winner" / "model.tflite", root / name)
    write_speech(root / "speech_commands")
    write_pictures(root / "vww", ("non_person", "person"))
    write_pictures(root / "photos")
    write_cifar10(root)
    for folder, classes in {"sounds": ("dog", "glass"), "recordings": ("lamp_on", "lamp_off", "unknown")}.items():
        for name in classes:
            for clip in range(60):
                write_clip(root / folder / name / f"{clip:08x}_nohash_0.wav", seed=hash_of(name, clip))
    for split_name, kinds in {"train": ("normal",), "test": ("normal", "anomaly")}.items():
        for kind in kinds:
            for clip in range(10):
                write_clip(
                    root / "toycar" / split_name / f"{kind}_id_01_{clip:08}.wav", hash_of(kind, clip), seconds=10
                )
    write_evaluation(root / "kws01", 12, 49 * 10)
    write_evaluation(root / "vww01", 2, 96 * 96 * 3)
    write_snippets(root)
    return root


def hash_of(name: str, clip: int) -> int:
    return sum(name.encode()) * 1000 + clip


@pytest.fixture
def call(call_nas: Call, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``nas`` in the prepared folder."""
    monkeypatch.chdir(prepared)
    return call_nas


AS_PRINTED = ("export", "plan", "cost", "report", "compare", "spaces", "mcus", "doctor", "validate", "data")


def runs(printed: Printed) -> bool:
    """Whether an example of the help is cheap enough to be run; searches and studies are, with ``--dry-run``."""
    if printed.words[0] in ("search", "ablate"):
        return "--resume" not in printed.words
    return printed.words[0] in AS_PRINTED


@pytest.mark.slow
@pytest.mark.parametrize("words", sorted({printed.words for printed in examples() if runs(printed)}), ids=" ".join)
def test_examples_of_the_help_run_as_printed(call: Call, words: tuple[str, ...]) -> None:
    dry = ("--dry-run",) if words[0] in ("search", "ablate") else ()
    done = call(*words, *dry)
    assert done.code == 0, done.err
    assert done.out


WRITTEN = ("--out", "--c", "--plot")  # what follows need not be there


def names(words: tuple[str, ...]) -> list[str]:
    """Files and folders that a command reads."""
    pairs = pairwise(words)
    return [word for before, word in pairs if re.search(r"/|\.tflite$", word) and before not in WRITTEN]


@pytest.mark.slow
def test_cheap_commands_of_the_pages_run_as_printed(call: Call) -> None:
    """Those whose files the prepared folder has; not on an emulated core, nor with figures of the real files."""
    found = {each.words for each in ALL if not each.prose and each.output is None and each.words[0] in AS_PRINTED}
    cheap = [words for words in sorted(found) if not {"--mode", "--target"} & {*words}]
    ran = [
        words for words in cheap if not any(map(PLACEHOLDER.match, words)) and all(map(os.path.exists, names(words)))
    ]
    assert len(ran) >= 15
    for words in ran:
        done = call(*words)
        assert done.code == 0, f"nas {' '.join(words)}: {done.err}"


def searches() -> list[Printed]:
    """Searches and studies that pages print in full, each once, with what they print below them."""
    found = {
        (printed.words, printed.output): printed
        for printed in ALL
        if not printed.prose and printed.words[0] in ("search", "ablate") and "--resume" not in printed.words
    }
    return [each for each in found.values() if not any(PLACEHOLDER.match(word) for word in each.words)]


@pytest.mark.slow
@pytest.mark.parametrize("printed", searches(), ids=str)
def test_searches_of_the_pages_are_possible(call: Call, printed: Printed) -> None:
    if "my_study.toml" in printed.words:
        shutil.copy(ROOT / "search_spaces/studies/engines.toml", "my_study.toml")
    refused = printed.output is not None and printed.output[0].startswith("nas: error:")
    dry = () if "--dry-run" in printed.words or refused else ("--dry-run",)
    done = call(*printed.words, *dry)
    assert done.code == (3 if refused else 0), done.err
    if printed.output is not None:
        shown = (done.err if refused else done.out).splitlines()
        assert shown == [line for line in printed.output if line]


def test_the_cost_of_the_space_is_as_printed(call: Call) -> None:
    (printed,) = [each for each in ALL if each.words == ("cost", "kws_mine") and each.output]
    assert printed.output is not None
    expected = [line for line in printed.output if line and line != "..."]
    shown = [line.rstrip() for line in call(*printed.words).out.splitlines()]
    assert shown[: len(expected)] == expected


@pytest.mark.slow
def test_a_tutorial_from_beginning_to_end(call: Call) -> None:
    """That of anomaly detection, on builtin data and with hardly any training."""
    page = [each.words for each in commands_of(ROOT / "docs/tutorial_ad.md") if not each.prose and not each.output]
    check, search, _, _, _ = [tuple("builtin" if word == "toycar/" else word for word in words) for words in page]
    assert call(*check).code == 0
    at = search.index("--trials")
    done = call(*search[:at], "--trials", "1", *search[at + 2 :], "--epochs", "1", "--train-epochs", "1")
    assert done.code == 0, done.err
    assert "ad winner of ad_autoencoder" in done.out
    assert call("validate", "ad-run/", "--task", "ad", "--data", "builtin").code == 0
    assert call("export", "ad-run/", "--c", "firmware/").code == 0


def test_the_page_on_python_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    functions = [name for name in nas.__all__ if callable(getattr(nas, name)) and name != "NasError"]
    assert [name for name in functions if f".. autofunction:: nas.{name}\n" not in page] == []


def test_the_site_has_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    names = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert names <= set(re.findall(r"^(?:.* <)?(\w+)>?$", index, re.MULTILINE))
    assert not names & {"search", "genindex", "modindex", "py-modindex"}  # Sphinx writes pages of these names itself
