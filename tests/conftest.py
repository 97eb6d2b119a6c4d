"""What every room's tests share: the real samples where there are any, a toy space, and the command ``nas``."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings
from small_builtin import shrink
from warm_converter import WarmConverter

from nas.cli.app import main
from nas.cli.signals import SIGNALS
from nas.space import SearchSpace, load_space

TOY_SPACE = """\
schema = 1
name = "toy"
task = "kws"
description = "small enough to be counted by hand"
source = "tests"
input = [12, 9, 2]
classes = 3

[[stage]]
name = "stem"
kind = "conv"
kernel = [3, 2]
stride = 2
width = { from = 4, to = 12, step = 4 }

[[stage]]
name = "blocks"
kind = "ds"
kernel = [[1, 1], [3, 3]]
repeat = { from = 1, to = 2 }
width = [4, 6]

[head]
kind = "pool_dense"

[[point]]
name = "middle"
source = "tests"
width = { stem = [8], blocks = [6, 4] }
"""

# The tests start some two hundred processes. Without compiled files each of them, and each worker of pytest-xdist,
# compiles the whole package and all tests again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each worker of pytest-xdist has its part of the cores, before torch is loaded: with a thread for every core in each of
# them, the threads wait for each other (two searches and a training on two cores: 190 s against 99 s).
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

SWEEP_SHARE = 5  # one in so many combinations of a sweep runs


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of combinations of tests marked ``sweep``."""
    group = parser.getgroup("sweeps", "tests of many expensive combinations, marked 'sweep'")
    group.addoption("--sweep", action="store_true", help="run all combinations; by default a fifth of each test's")
    group.addoption("--rotation", type=int, default=0, metavar="N", help="which fifth: N and N + 5 are the same")


def pytest_report_header(config: pytest.Config) -> str:
    """Tell which combinations run, so that a failure can be repeated."""
    return "sweeps: all" if config.getoption("sweep") else f"sweeps: --rotation {config.getoption('rotation')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a fifth of the combinations of each test marked ``sweep``; five rotations in a row run all of them.

    Workers side by side begin with what has no room: whole searches, of which none must come last and alone.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.parent != Path(__file__).parent)
    if config.getoption("sweep"):
        return
    sweeps = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("sweep"):
            sweeps[item.nodeid.partition("[")[0]].append(item)
    left_out = set[pytest.Item]()
    for combinations in sweeps.values():
        combinations.sort(key=lambda item: crc32(item.nodeid.encode()))  # mixed, and the same on every machine
        share = min(SWEEP_SHARE, len(combinations))
        left_out |= {*combinations} - {*combinations[config.getoption("rotation") % share :: share]}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


# Other work on the machine must not fail a test, nor may the day: the same examples each time.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The project's folder."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data(checkout: Path) -> Path:
    """The folder of real samples that developers keep beside the checkout; it is not part of the project."""
    folder = Path(os.environ.get("NAS_SHARED_DATA", checkout.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real samples: NAS_SHARED_DATA or {folder} is not a folder")
    return folder


@pytest.fixture
def write_space(tmp_path: Path) -> Callable[..., Path]:
    """Write the toy space with pieces of its text replaced."""

    def write(*changes: tuple[str, str], name: str = "toy") -> Path:
        text = TOY_SPACE
        for old, new in changes:
            assert text.count(old) >= 1, f"{old!r} is not in the toy space"
            text = text.replace(old, new, 1)
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def toy_space(write_space: Callable[..., Path]) -> SearchSpace:
    """3 stems, then 1 or 2 blocks of 2 widths and 2 kernels: 3 x (4 + 16) = 60 networks."""
    return load_space(write_space())


@dataclass(frozen=True)
class Finished:
    """A finished command: exit code and both outputs; seconds of processor time where it had a process of its own."""

    code: int
    out: str
    err: str
    cpu_seconds: float = 0.0


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of pytest, the same for all of its workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def warm_converter(shared_folder: Path) -> Iterator[WarmConverter]:
    """Conversions of tests in this process take a third of the time; see ``warm_converter``."""
    with pytest.MonkeyPatch.context() as patch, closing(WarmConverter(shared_folder)) as converter:
        patch.setattr("nas.export.tflite.run_process", converter)
        yield converter


@pytest.fixture(scope="session")
def nas_command() -> list[str]:
    """The words that start ``nas`` in this environment."""
    return [sys.executable, "-c", "from nas.cli.app import main; main()"]


@pytest.fixture(scope="session")
def warm_nas_command(warm_converter: WarmConverter) -> list[str]:
    """The words that start ``nas`` with quick conversions and small builtin data; see ``warm_nas``."""
    return warm_converter.command()


@pytest.fixture(scope="session")
def nas_environment(shared_folder: Path) -> dict[str, str]:
    """Environment of a user who has no data; all tests share the cache, so that builtin speech is made once."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NAS_", "XDG_"))}
    return {**kept, "XDG_CACHE_HOME": str(shared_folder / "cache")}


@pytest.fixture
def run_nas(nas_command: list[str], nas_environment: dict[str, str], tmp_path: Path) -> Callable[..., Finished]:
    """Run ``nas`` in a process of its own, in an empty folder."""

    def run(*words: str | Path) -> Finished:
        before = _children_cpu_seconds()
        done = subprocess.run(
            [*nas_command, *map(str, words)], env=nas_environment, cwd=tmp_path, capture_output=True, text=True
        )
        return Finished(done.returncode, done.stdout, done.stderr, _children_cpu_seconds() - before)

    return run


@pytest.fixture
def shared_cache(nas_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of ``nas_environment`` in place of the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", nas_environment["XDG_CACHE_HOME"])


@pytest.fixture
def small_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builtin data sets have a quarter of their samples."""
    shrink(monkeypatch.setattr)


@pytest.fixture
def call_nas(
    shared_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Run the whole command in this process, in an empty folder: seconds faster where torch is loaded already."""
    monkeypatch.chdir(tmp_path)
    for name in ("NAS_DATA", "NAS_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return call


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
