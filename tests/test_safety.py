"""Files and names that a stranger made run nothing, and end in no place where they would mean something."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import flatbuffers
import pytest
import torch

from nas.cost.cost_report import CostReport, LayerCost
from nas.errors import DataError, InputError, RunFolderError
from nas.export.c.emit import c_files, write_c
from nas.export.c.program import make_program
from nas.export.c_source import write_c_source
from nas.export.flatbuffer import FILE_IDENTIFIER, load
from nas.files import read_checkpoint
from nas.harness.firmware import find_compiler
from nas.models.network import load_weights
from nas.pipeline import ablate
from nas.pipeline.emulate import export_c
from nas.pipeline.reporter import Reporter
from nas.pipeline.search import SearchResult
from nas.pipeline.submit import _read
from nas.plan.placement import Placement
from nas.processes import environment, safe_path
from nas.report.memory_plot import render_memory_plot
from nas.report.page import Card, Layer, Page, Picture, StudyPage, classes_of, render_page
from nas.report.plan_plot import render_plan_plot
from nas.report.published_plot import KnownNetwork
from nas.submission.tree import Result
from nas.tasks.cifar10_pickle import read_pickle

COMPILER = shutil.which("cc")
CHECKOUT = Path(__file__).resolve().parents[1]
MODEL = CHECKOUT / "exported/reference/kws-64kb/winner/model.tflite"


# --- files -----------------------------------------------------------------------------------------------------------


class Bomb:
    """Runs a function with an argument as soon as it is unpickled."""

    def __init__(self, function: Callable[..., Any], argument: Any) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def bombs(trace: Path) -> Iterator[Any]:
    """Objects that make a file when they are unpickled, each in another way."""
    touch = f"open({str(trace)!r}, 'w').close()"
    yield Bomb(os.system, f"{sys.executable} -c {touch!r}")
    yield Bomb(exec, touch)
    yield Bomb(eval, touch)
    yield {"done": 1, "shared": [Bomb(os.mkdir, str(trace))]}
    yield Bomb(Path.touch, trace)
    yield Bomb(subprocess.getoutput, f"touch {trace}")


def archive(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def read_weights(path: Path) -> None:
    load_weights(torch.nn.Linear(1, 1), path)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("wrap", [archive, pickle.dumps], ids=["archive", "pickle"])
@pytest.mark.parametrize("read", [read_checkpoint, read_weights, read_pickle])
def test_no_file_runs_what_it_says(number: int, wrap: Any, read: Any, tmp_path: Path) -> None:
    trace, file = tmp_path / "trace", tmp_path / "file"
    file.write_bytes(wrap(list(bombs(trace))[number]))
    with pytest.raises((RunFolderError, DataError), match=str(file)):
        read(file)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_cifar_batch_of_any_protocol(protocol: int, tmp_path: Path) -> None:
    trace, file = tmp_path / "trace", tmp_path / "data_batch_1"
    for bomb in bombs(trace):
        file.write_bytes(pickle.dumps({b"data": bomb, b"labels": [0]}, protocol))
        with pytest.raises(DataError):
            read_pickle(file)
    assert not trace.exists()


def test_the_bombs_would_go_off(tmp_path: Path) -> None:
    for number, bomb in enumerate(bombs(tmp_path / "trace")):
        pickle.loads(pickle.dumps(bomb))
        trace = tmp_path / "trace"
        assert trace.exists(), number
        trace.rmdir() if trace.is_dir() else trace.unlink()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}", b"\xff" * 100, pickle.dumps({"a": 1})[:-3]])
def test_a_damaged_checkpoint_is_told_with_its_place(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"checkpoint\.pt.*delete it to begin again"):
        read_checkpoint(file)
    with pytest.raises(RunFolderError, match=r"checkpoint\.pt: no weights of this network"):
        read_weights(file)


def test_a_checkpoint_of_ours_is_read(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(archive({"done": 3, "weights": torch.arange(4)}))
    found = read_checkpoint(file)
    assert found["done"] == 3
    assert found["weights"].tolist() == [0, 1, 2, 3]


SHADOWS = ("numpy", "json", "torch", "tflite_micro", "ziglang", "multiprocessing", "socket", "nas", "ai_edge_litert")


@pytest.fixture
def strange_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a data set, say, in which modules of well-known names lie."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\nraise SystemExit(3)\n"
        )
    monkeypatch.chdir(folder)
    return folder


def test_modules_of_the_working_folder_would_be_run(strange_folder: Path, tmp_path: Path) -> None:
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    subprocess.run([sys.executable, "-m", "json"], env=usual, capture_output=True)
    assert (tmp_path / "ran").exists()


def test_the_environment_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (None, "0"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        if before is not None:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with safe_path():
            assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ.get("PYTHONSAFEPATH") == before


@pytest.mark.parametrize("module", ["nas.harness.arena_worker", "nas.harness.identity", "nas.export.convert_worker"])
def test_processes_of_ours_run_nothing_of_the_working_folder(strange_folder: Path, tmp_path: Path, module: str) -> None:
    """They fail for want of arguments, after all imports of the module."""
    done = subprocess.run([sys.executable, "-m", module], env=environment(), capture_output=True, text=True)
    assert "IndexError" in done.stderr or "ValueError" in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_compilers_are_not_taken_from_the_working_folder(
    strange_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setenv("NAS_COMPILER", "zig")
    assert find_compiler(SimpleNamespace(name="a core", zig=(), gcc=())).name.startswith("zig 0.")  # type: ignore[arg-type]
    assert not (tmp_path / "ran").exists()


def test_runs_of_a_study_take_nothing_from_the_working_folder(
    strange_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = SimpleNamespace(name="a", label="a", options={}, defaults={})
    monkeypatch.setattr(ablate, "run_cell", json.loads)  # which does not take what a run is given, and fails at once
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # as it is for a user, and taken back afterwards
    with pytest.raises(TypeError, match="positional"):
        ablate._carry_out([cell], tmp_path, 1, Reporter())  # type: ignore[list-item]
    assert not (tmp_path / "ran").exists()


def test_a_record_of_a_submission_names_no_other_place(tmp_path: Path) -> None:
    record = tmp_path / "code" / "kws" / "board__net" / "measured.json"
    record.parent.mkdir(parents=True)
    given = dict.fromkeys(
        (field.name for field in dataclasses.fields(Result) if field.default is dataclasses.MISSING), ""
    )
    record.write_text(json.dumps({**given, "system": "board__net"}))
    assert _read(record).system == "board__net"
    record.write_text(json.dumps({**given, "system": "../../../../elsewhere"}))
    with pytest.raises(InputError, match=r"measured\.json"):
        _read(record)


# --- generated C -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "*/ int evil(void) { return 1; } /*",
    '"; #error "evil',
    "evil\\",
    "evil\n#error evil\n",
    "??/\n#error evil",
    "%s%n{0}{name}",
    "эвил\x00\x07'",
]


def renamed(model: bytes, name: str) -> bytes:
    """The same network, with that name for everything that has one."""
    tree = load(model)
    tree.description = name
    for graph in tree.subgraphs:
        graph.name = name
        for tensor in graph.tensors:
            tensor.name = name
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_a_file_do_not_get_into_its_c(name: str) -> None:
    model = MODEL.read_bytes()
    assert c_files(make_program(renamed(model, name), "net")) == c_files(make_program(model, "net"))


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")
@pytest.mark.parametrize("name", [each.replace("/", "_").replace("\x00", "") for each in HOSTILE])
def test_c_in_a_folder_of_any_name_compiles(name: str, tmp_path: Path) -> None:
    """Whatever its name holds that C would take for something else; trigraphs, too."""
    folder = tmp_path / name
    program = export_c(MODEL, folder).program
    strict = ["-std=c99", "-trigraphs", "-Wall", "-Wextra", "-Werror"]
    command = [str(COMPILER), *strict, *map(str, sorted(folder.glob("*.c"))), "-o", str(tmp_path / "a.out")]
    subprocess.run(command, check=True)
    for path in folder.glob(f"{program.name}.*"):
        assert name not in path.read_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_has_a_name_that_c_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be a name in C: try "):
        make_program(MODEL.read_bytes(), name)
    write_c_source(b"x", tmp_path, arena_bytes=1, operators=["ADD"], name=name)
    for path in tmp_path.iterdir():
        assert name not in path.read_text()


@pytest.mark.parametrize("kind", ["ADD()); evil(", "add", "", "A__B", "ADD\n", *HOSTILE])
def test_operators_with_names_of_their_own_are_not_written(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kernel of TensorFlow Lite Micro for"):
        write_c_source(b"x", tmp_path, arena_bytes=1, operators=["ADD", kind])
    assert not list(tmp_path.iterdir())


def test_scales_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tree = load(MODEL.read_bytes())
    graph = tree.subgraphs[0]
    for scale in (float("nan"), float("inf"), 0.0, -1.0):
        graph.tensors[graph.inputs[0]].quantization.scale = [scale]
        builder = flatbuffers.Builder(1024)
        builder.Finish(tree.Pack(builder), FILE_IDENTIFIER)
        with pytest.raises(InputError, match="scale"):
            write_c(make_program(bytes(builder.Output()), "net"), tmp_path)


# --- pages and pictures ----------------------------------------------------------------------------------------------

EVIL = (
    "</style></title></td></text>--><script>alert(1)</script><img src=x onerror='alert(1)'>\"'&amp;{{ 1 }}$\\frac{$]]>"
)
TAME = "an entirely harmless name"


class Tags(HTMLParser):
    """Every tag of a page with the names of its attributes, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attributes)))
        self.attributes += attributes

    def handle_data(self, data: str) -> None:
        self.text += data


def run_page(name: str) -> Page:
    picture = Picture(name, b"<svg/>", name)
    layer, published = Layer(name, name, name, 1, 0.5, 2, 3, 0.5), KnownNetwork(name, 1, 2, 3, 0.9)
    rows = classes_of([name, name], [[1, 1], [0, 2]], [[2, 0], [1, 1]])
    card = Card(name, name, name, 0.5)
    return Page(name, name, name, [card], [picture], [layer], [(name, name)], name, name, rows, [published])


def study_page(name: str) -> StudyPage:
    return StudyPage(name, name, name, [name], Picture(name, b"<svg/>", name), [name], [[name]], name, name)


@pytest.mark.parametrize("make", [run_page, study_page])
def test_a_page_has_the_same_tags_whatever_names_are(make: Callable[[str], Any]) -> None:
    evil, tame = (Tags(render_page(make(name)).decode()) for name in (EVIL, TAME))
    assert evil.tags == tame.tags
    assert evil.text.count(EVIL) == tame.text.count(TAME) > 5
    assert not {tag for tag, _ in evil.tags} & {"script", "iframe", "object", "embed", "form", "base", "svg"}
    assert not [name for name, _ in evil.attributes if name.startswith("on")]


def test_a_page_forbids_the_browser_to_run_anything() -> None:
    policy = ("content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert policy in Tags(render_page(run_page(TAME)).decode()).attributes


def test_a_page_in_a_notebook_stays_in_its_frame(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_bytes(render_page(run_page(EVIL)))
    shown = Tags(SearchResult(tmp_path, None, {})._repr_html_())  # type: ignore[arg-type]
    assert shown.tags == [("iframe", ("srcdoc", "style"))]
    assert dict(shown.attributes)["srcdoc"] == (tmp_path / "report.html").read_text()


def test_pictures_hold_names_as_text() -> None:
    short = "--><script>$\\frac{$"  # labels have little room
    layer = LayerCost(short, short, (1, 8), 1, 1, 1, 64, 64, 1)
    places = (Placement(0, short, 0, 64, 0, 1),)
    report = CostReport(1, 64, 1, 1, 1, 1, (layer,), places, ())
    for picture in (
        render_memory_plot(report, EVIL, "svg"),
        render_plan_plot(places, places, [short], [short], EVIL, "svg"),
    ):
        found = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()}
        assert not found & {"script", "img", "foreignObject", "a", "image"}
        assert b"onerror='" not in picture.split(b"<!--")[0]


# --- the source itself -----------------------------------------------------------------------------------------------

ALLOWED = {
    ("nas/training/worker.py", "torch.load"): "a job that the parent process has just pickled in a private folder",
    ("nas/tasks/cifar10_pickle.py", "import pickle"): "its Unpickler, which finds no class but those of a short list",
}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    *("pickle.load", "pickle.loads", "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "dill.load"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "shutil.unpack_archive", "tempfile.mktemp", "importlib.import_module"),
}
FORBIDDEN_IMPORTS = {
    *("pickle", "cPickle", "marshal", "shelve", "joblib", "dill", "cloudpickle", "yaml", "tarfile", "zipfile"),
    *("urllib.request", "requests", "httpx", "http.client", "ftplib", "telnetlib", "xmlrpc"),
}


def offences(source: str) -> Iterator[tuple[str, int]]:
    """What a module does that could run what it reads, or fetch it from elsewhere, with the line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((f"import {each.name}", node.lineno) for each in names if each.name in FORBIDDEN_IMPORTS)
            case ast.ImportFrom(module=str(module)) if module in FORBIDDEN_IMPORTS:
                yield f"import {module}", node.lineno
            case ast.ImportFrom(module="urllib", names=names) if any(each.name == "request" for each in names):
                yield "import urllib.request", node.lineno
            case ast.Call():
                yield from ((what, node.lineno) for what in _offending_call(node))


def _offending_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    options = {each.arg: ast.unparse(each.value) for each in call.keywords}
    if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS:
        yield name
    if name in ("torch.load", "torch.jit.load") and options.get("weights_only") != "True":
        yield "torch.load"
    if options.get("shell", "False") != "False":
        yield "shell"
    if options.get("allow_pickle", "False") != "False":
        yield "allow_pickle"
    if name.rpartition(".")[2] in ("extractall", "extract") and options.get("filter") not in ("'data'", '"data"'):
        yield "extractall without filter"
    if name.rpartition(".")[2] == "Environment" and options.get("autoescape") != "True":
        yield "a template without autoescape"
    if name.rpartition(".")[2] in ("Markup", "mark_safe"):
        yield "text that is not escaped"


def test_nothing_in_the_source_runs_what_it_reads() -> None:
    found = {
        (str(path.relative_to(CHECKOUT)), what): line
        for path in sorted((CHECKOUT / "nas").rglob("*.py"))
        for what, line in offences(path.read_text())
    }
    assert {key: line for key, line in found.items() if key not in ALLOWED} == {}


def test_templates_escape_everything() -> None:
    for path in (CHECKOUT / "nas").rglob("*.html"):
        text = path.read_text()
        assert "|safe" not in text.replace(" ", ""), path
        assert "autoescape" not in text, path


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "pickle.load(f)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=flag)",
        "subprocess.run(c, shell=True)",
        "subprocess.run(c, shell=flag)",
        "np.load(f, allow_pickle=True)",
        "yaml.load(f)",
        "eval(t)",
        "exec(t)",
        "tar.extractall(d)",
        "tar.extractall(d, filter='fully_trusted')",
        "import urllib.request",
        "from urllib import request",
        "jinja2.Environment()",
        "Markup(t)",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert list(offences(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(f, weights_only=True)",
        "subprocess.run(c, shell=False)",
        "np.load(f)",
        "model.eval()",
        "tar.extractall(d, filter='data')",
        "Environment(autoescape=True)",
    ],
)
def test_the_search_lets_pass(line: str) -> None:
    assert not list(offences(line))


# --- the audit of dependencies ----------------------------------------------------------------------------------------


def judge(packages: list[dict[str, Any]], known: dict[str, str]) -> tuple[str, int]:
    spec = importlib.util.spec_from_file_location("audit", CHECKOUT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module.judge(packages, known))  # type: ignore[return-value]


SKIPPED = {"name": "a", "skip_reason": "not found"}
SOUND = {"name": "b", "version": "1", "vulns": []}
HOLED = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "known", "said", "code"),
    [
        ([SKIPPED], {}, "NOT DONE", 3),
        ([SKIPPED, SOUND], {}, "1 of 2 packages, 0 vulnerabilities", 0),
        ([SOUND, HOLED], {}, "c 2: PYSEC-1, fixed in 3", 1),
        ([SOUND, HOLED], {"CVE-1": "why"}, "1 vulnerabilities, 0 unexplained", 0),
        ([SOUND, HOLED], {"CVE-2": "why"}, "1 unexplained", 1),
    ],
)
def test_an_audit_fails_on_what_it_knows_and_tells_what_it_could_not_ask(
    packages: list[dict[str, Any]], known: dict[str, str], said: str, code: int
) -> None:
    text, found = judge(packages, known)
    assert said in text
    assert found == code
