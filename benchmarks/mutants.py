"""Does a test fail when the code is wrong? One small fault at a time, and whether the suite notices.

    python benchmarks/mutants.py run --sample 100 --seed 1 --log mutants.jsonl
    python benchmarks/mutants.py run --part budget --sample 0 --log budget.jsonl     # every mutant of one part
    python benchmarks/mutants.py honesty --log honesty.jsonl

``run`` draws mutants of the rooms whose figures are published (``PARTS``): comparisons, arithmetic, numbers, booleans,
conditions, results, refusals and findings left out. Texts are left alone. ``honesty`` has a list of its own,
``honesty_mutants.toml``: each cost model, each parity check and each check of a budget broken in turn, all of which
must be noticed. Mutants that change nothing anyone could see stand in ``equivalent_mutants.toml`` with the reason, and
are not drawn.

A process collects the tests of all modules (``TESTS``) and runs each once, which times it and makes what tests share.
For a mutant inside of a function it forks, gives the function its new code, empties the caches, and runs the tests of
its module, the quick ones first, until one fails: 0.1 s where a tool that starts an interpreter needs 5 s for imports
alone. Mutants of anything else, and with ``--again`` the survivors of a log, are written into a copy of the tree and
tested in a process that has imported nothing of ``nas``. ``--only`` leaves slow tests out; ``--log`` goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EQUIVALENT = HERE / "equivalent_mutants.toml"
HONESTY = HERE / "honesty_mutants.toml"
WORK = ROOT / "build" / "mutants"
PARTS = {"cost": "nas/cost", "budget": "nas/budget.py", "submission": "nas/submission"}
PARTS |= {room: f"nas/{room}" for room in ("plan", "export", "harness", "tasks", "training", "engines", "models")}
C_PROGRAMS = (
    *(f"export/test_c_program::test_{name}" for name in ("dense", "random", "weights", "padding", "a_", "softmax")),
    *("export/test_c_program::test_operators", "export/test_c_program::test_the_trained", "export/test_c_layers"),
)
TESTS = {
    "nas/budget.py": ("test_budget",),
    "nas/submission/checker.py": ("submission/test_checker",),
    "nas/submission/rules.py": ("submission/test_checker",),
    "nas/submission/tree.py": ("submission/test_tree",),
    "nas/cost/arithmetic.py": ("cost/test_exported", "cost/test_population", "cost/test_file_cost"),
    "nas/cost/cost_report.py": ("cost/test_file_cost",),
    "nas/cost/dense.py": ("cost/test_overlap", "cost/test_population"),
    "nas/cost/file_cost.py": ("cost/test_file_cost",),
    "nas/cost/file_memory.py": ("cost/test_kernel_states", "cost/test_file_cost"),
    "nas/cost/flash.py": ("cost/test_parameters", "cost/test_exported", "cost/test_overlap", "cost/test_population"),
    "nas/cost/heaviest.py": ("cost/test_heaviest", "test_budget"),
    "nas/cost/instructions.py": ("cost/test_loops", "cost/test_latency", "cost/test_instructions"),
    "nas/cost/kernel_memory.py": ("cost/test_kernel_states", "cost/test_file_cost"),
    "nas/cost/latency.py": ("cost/test_latency", "test_budget"),
    "nas/cost/lowering.py": ("cost/test_file_cost", "cost/test_overlap"),
    "nas/cost/minimum.py": ("cost/test_minimum", "cost/test_overlap", "cost/test_latency", "test_budget"),
    "nas/cost/model.py": ("cost/test_exported", "cost/test_population"),
    "nas/cost/ops.py": ("cost/test_ops", "cost/test_exported"),
    "nas/cost/overlap.py": ("cost/test_overlap", "cost/test_population"),
    "nas/cost/population.py": ("cost/test_population",),
    "nas/cost/relaxed.py": ("cost/test_relaxed",),
    "nas/cost/sram.py": (
        "cost/test_heaviest",
        "cost/test_exported",
        "cost/test_sram",
        "cost/test_overlap",
        "cost/test_population",
    ),
    "nas/cost/tflm_sizes.py": ("cost/test_kernel_states", "cost/test_file_cost", "cost/test_exported"),
    "nas/models/int8.py": ("models/test_int8", "test_reference_networks", "export/test_int8_file"),
    "nas/models/quantized.py": (
        "models/test_quantized",
        "training/test_calibration",
        "test_reference_networks",
        "export/test_int8_file",
    ),
    "nas/plan/buffers.py": ("plan/test_buffers", "plan/test_planner", "cost/test_file_cost", "plan/test_problem"),
    "nas/plan/greedy.py": ("plan/test_many_greedy", "plan/test_planner", "cost/test_file_cost"),
    "nas/plan/placement.py": ("plan/test_planner", "plan/test_replay", "cli/test_plan_command"),
    "nas/plan/replay_loops.py": ("plan/test_replay", "plan/test_distances", "plan/test_replay_truth"),
    "nas/plan/replay_orders.py": ("plan/test_replay", "plan/test_distances", "plan/test_replay_truth"),
    "nas/plan/replay_windows.py": ("plan/test_replay", "plan/test_distances", "plan/test_replay_truth"),
    "nas/tasks/__init__.py": ("tasks/test_kws", "tasks/test_ic", "tasks/test_ad", "tasks/test_vww"),
    "nas/tasks/_espeak_child.py": ("tasks/test_builtin_speech", "tasks/test_keywords"),
    "nas/tasks/audio.py": ("tasks/test_kws", "tasks/test_audio_features", "tasks/test_keywords", "test_audio"),
    "nas/tasks/base.py": (
        "tasks/test_kws",
        "tasks/test_builtin_images",
        "tasks/test_ic",
        "tasks/test_ad",
        "training/test_training_data",
    ),
    "nas/tasks/builtin_machines.py": ("tasks/test_builtin_machines", "tasks/test_ad"),
    "nas/tasks/espeak.py": ("tasks/test_builtin_speech", "tasks/test_keywords"),
    "nas/tasks/evaluation.py": ("tasks/test_evaluation_files", "tasks/test_ad"),
    "nas/tasks/keyword_recordings.py": ("tasks/test_keywords",),
    "nas/tasks/keyword_speech.py": ("tasks/test_keywords",),
    "nas/tasks/kws.py": ("tasks/test_kws", "tasks/test_builtin_speech"),
    "nas/tasks/pieces.py": ("tasks/test_ad",),
    "nas/tasks/settings.py": ("tasks/test_audio_features", "tasks/test_kws", "tasks/test_feature_cache"),
    "nas/tasks/sources.py": ("tasks/test_kws", "tasks/test_ic", "tasks/test_vww", "tasks/test_ad"),
    "nas/tasks/synthesis.py": ("tasks/test_synthesis", "tasks/test_keywords"),
    "nas/tasks/toycar.py": ("tasks/test_ad", "tasks/test_evaluation_files"),
    **dict.fromkeys(
        (f"nas/tasks/inventory/{path.name}" for path in (ROOT / "nas/tasks/inventory").glob("*.py")),
        ("tasks/test_inventory", "tasks/test_evaluation_files", "cli/test_data_command"),
    ),
    "nas/training/average.py": ("training/test_loss", "training/test_loop"),
    "nas/training/checkpoint.py": ("training/test_loop",),
    "nas/training/data.py": ("training/test_training_data", "training/test_loop"),
    "nas/training/loop.py": ("training/test_loop", "training/test_loss", "training/test_training_data"),
    "nas/training/optimizer.py": ("training/test_recipe", "training/test_loop"),
    "nas/training/runtime.py": ("training/test_runtime", "training/test_parallel"),
    "nas/training/supernet.py": ("training/test_supernet_training",),
    "nas/training/worker.py": ("training/test_parallel",),
    "nas/harness/cores.py": ("harness/test_emulator", "harness/mlperf/test_firmware"),
    "nas/harness/firmware.py": ("harness/test_emulator", "harness/mlperf/test_firmware"),
    "nas/harness/host.py": ("harness/test_host", "cli/test_c_command"),
    "nas/harness/identity.py": ("harness/test_identity", "export/test_slim_foreign"),
    "nas/harness/litert.py": ("harness/test_runtimes", "harness/test_score"),
    "nas/harness/mlperf/firmware_link.py": ("harness/mlperf/test_firmware",),
    "nas/harness/mlperf/pty.py": ("harness/mlperf/test_runner", "harness/mlperf/test_meter"),
    "nas/harness/mlperf/runner.py": ("harness/mlperf/test_runner", "harness/mlperf/test_meter"),
    "nas/harness/mlperf/serial_port.py": ("harness/mlperf/test_runner", "harness/mlperf/test_meter"),
    "nas/harness/mlperf/session.py": ("harness/mlperf/test_runner", "harness/mlperf/test_meter"),
    "nas/harness/onnx_runtime.py": ("harness/test_runtimes", "pipeline/test_parity_gate"),
    "nas/harness/qemu.py": ("harness/test_emulator", "harness/mlperf/test_firmware"),
    "nas/harness/samples.py": ("harness/test_runtimes", "harness/test_score"),
    "nas/harness/stderr.py": ("harness/test_runtimes", "harness/test_tflm"),
    "nas/harness/tflm.py": ("harness/test_tflm", "harness/test_runtimes"),
    **dict.fromkeys(
        (f"nas/export/c/{path.name}" for path in (ROOT / "nas/export/c").glob("*.py")),
        C_PROGRAMS,
    ),
    "nas/export/c/synthetic.py": ("export/test_c_layers", "cost/test_instructions"),
    "nas/export/c/protocol.py": ("harness/mlperf/test_firmware",),
    "nas/export/convert_worker.py": ("export/test_tflite", "export/test_int8_file"),
    "nas/export/flatbuffer.py": ("export/test_flatbuffer", "export/test_slim_foreign", "export/test_model_reader"),
    "nas/export/layer_parity.py": ("export/test_layer_parity", "pipeline/test_parity_gate"),
    "nas/export/onnx_export.py": ("export/test_onnx_export", "export/test_int8_file"),
    "nas/export/onnx_file.py": ("fuzz/test_damaged_models::test_an_onnx_file",),
    "nas/export/parity.py": ("export/test_parity", "pipeline/test_parity_gate"),
    "nas/export/savings.py": ("export/test_savings",),
    "nas/export/slim.py": ("export/test_slim", "export/test_slim_foreign"),
    "nas/engines/base.py": ("engines/test_study", "engines/test_engines"),
    "nas/engines/dnas.py": ("engines/test_engines", "engines/test_one_shot"),
    "nas/engines/draws.py": ("engines/test_engines", "engines/test_recent"),
    "nas/engines/joining.py": ("engines/test_study",),
    "nas/engines/nsga2.py": ("engines/test_engines",),
    "nas/engines/patience.py": ("engines/test_patience",),
    "nas/engines/proposals.py": ("engines/test_engines", "engines/test_study"),
    "nas/engines/random_engine.py": ("engines/test_engines",),
    "nas/engines/storage.py": ("engines/test_study",),
    "nas/engines/storage_url.py": ("engines/test_study",),
    "nas/engines/study.py": ("engines/test_study", "engines/test_pruning"),
    "nas/engines/tpe.py": ("engines/test_engines",),
    "nas/engines/usage.py": ("engines/test_repair", "engines/test_spread"),
}
"""Module -> the tests that are about it, or beginnings of their names; of others those of its name or of its room."""
PLAIN = "test_plain_data"  # is about all of them
OUT_OF_REACH = (
    "nas/export/convert_worker.py",
    "nas/harness/arena_worker.py",
    "nas/tasks/_espeak_child.py",
    "nas/tasks/log_mel.py",
    "nas/training/worker.py",
)
"""Modules of which a fork cannot change a function: tests run them in other processes only, or importing them does."""
HEAVY = ("numpy", "torch", "numba", "pydantic", "hypothesis", "pytest", "scipy.stats", "optuna", "rich.progress")
HEAVY_TOO = (
    "jinja2",
    "typer",
    "lightning_fabric",
    "onnx",
    "tflite_micro",
    "ai_edge_litert.interpreter",
    "safetensors.torch",
)
SLACK_SECONDS = 30.0  # on top of five times what the tests took, after which a mutant counts as hanging
TIMES_SLOWER = 5.0
FORK_SECONDS, TIMES_SLOWER_IN_A_FORK = 10.0, 3.0  # likewise in a fork; then a process of its own decides
SLOW_SECONDS = 1800.0  # for tests without a fault in a process of their own


# --- mutants ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One fault: the file with it, and the line of the original at which it is."""

    name: str
    part: str
    file: str
    line: int
    text: str
    inside: bool
    """Of a function that a fork can change, rather than what runs when the module is imported."""
    tests: tuple[str, ...]
    """Files of tests, or single ones, that are run."""


SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
FUNCTIONS = {"max": "min", "min": "max", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may become."""
    for kinds, change in CHANGES:
        if isinstance(node, kinds):
            yield from change(node)


def _comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for place, one in enumerate(node.ops):
        if type(one) in SWAPS:
            ops = [*node.ops[:place], SWAPS[type(one)](), *node.ops[place + 1 :]]
            yield ast.Compare(node.left, ops, node.comparators)


def _arithmetic(node: ast.BinOp | ast.AugAssign | ast.BoolOp) -> Iterator[ast.AST]:
    if type(node.op) in SWAPS and not (isinstance(node, ast.BinOp) and (_is_types(node) or _is_path(node))):
        changed = copy.copy(node)
        changed.op = SWAPS[type(node.op)]()
        yield changed


def _sign(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if not isinstance(node.op, ast.UAdd):
        yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    match node.value:
        case bool():
            yield ast.Constant(not node.value)
        case int():
            yield ast.Constant(node.value + 1)
        case float():
            yield ast.Constant(node.value * 1.01 + 0.001)


def _result(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield ast.Return(ast.Constant(None))


def _condition(node: ast.If | ast.IfExp | ast.While) -> Iterator[ast.AST]:
    changed = copy.copy(node)
    changed.test = ast.UnaryOp(ast.Not(), node.test)
    yield changed


def _filter(node: ast.comprehension) -> Iterator[ast.AST]:
    if node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)


def _left_out(node: ast.stmt) -> Iterator[ast.AST]:
    """A refusal or a finding."""
    if isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom)
    ):
        yield ast.Expr(ast.Tuple([], ast.Load()))


def _call(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in FUNCTIONS:
        changed = copy.copy(node)
        changed.func = copy.copy(node.func)
        setattr(changed.func, "id" if isinstance(node.func, ast.Name) else "attr", FUNCTIONS[name])
        yield changed


CHANGES: tuple[tuple[Any, Callable[[Any], Iterator[ast.AST]]], ...] = (
    (ast.Compare, _comparison),
    (ast.BinOp | ast.AugAssign | ast.BoolOp, _arithmetic),
    (ast.UnaryOp, _sign),
    (ast.Constant, _constant),
    (ast.Return, _result),
    (ast.If | ast.IfExp | ast.While, _condition),
    (ast.comprehension, _filter),
    (ast.stmt, _left_out),
    (ast.Call, _call),
)


class Site(NamedTuple):
    """A node that may change: where it hangs, and the function or class in which it is."""

    parent: ast.AST
    field: str
    place: int | None
    scope: str
    inside: bool


def sites(tree: ast.Module) -> Iterator[Site]:
    """Every node that may change.

    Annotations hold no code, but the calls in them do: ``Annotated[int, Field(ge=1)]``.
    """

    def visit(node: ast.AST, scope: str, only_calls: bool, inside: bool) -> Iterator[Site]:
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.keyword) and node.arg == "slots":  # saves memory, and nothing else
                continue
            annotation = only_calls or field in ("annotation", "returns")
            if isinstance(node, ast.Call):
                annotation = False
            if field == "slice" and isinstance(node.value, ast.Name) and node.value.id in ("Callable", "Annotated"):
                annotation = True
            within = inside or (isinstance(node, ast.FunctionDef) and field == "body")
            for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                    continue
                inner = scope
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    inner = f"{scope}.{child.name}".lstrip(".")
                if not annotation:
                    yield Site(node, field, place, inner, within)
                yield from visit(child, inner, annotation, within)

    yield from visit(tree, "", False, False)


def mutants_of(file: Path, part: str) -> Iterator[Mutant]:
    """Every mutant of a file, named by what it changes and where."""
    source = file.read_text()
    tree, seen = ast.parse(source), Counter[str]()
    name = str(file.relative_to(ROOT))
    forks = name not in OUT_OF_REACH
    for parent, field, place, scope, inside in list(sites(tree)):
        held = getattr(parent, field)
        original = held if place is None else held[place]
        for changed in changes(original):
            line = getattr(original, "lineno", None) or getattr(parent, "lineno", None) or original.iter.lineno
            what = f"{name}:{scope}: {_shown(original)} -> {_shown(changed)}"
            seen[what] += 1
            if seen[what] > 1:
                what += f" #{seen[what]}"
            _put(parent, field, place, ast.fix_missing_locations(ast.copy_location(changed, original)))
            try:
                yield Mutant(what, part, name, line, ast.unparse(tree), inside and forks, _tests(name))
            finally:
                _put(parent, field, place, original)


def _tests(file: str) -> tuple[str, ...]:
    named = (name.partition("::") for name in (PLAIN, *(TESTS.get(file) or _tests_of_room(file))))
    return tuple(f"tests/{path}.py{mark}{test}" for path, mark, test in named)


def _tests_of_room(file: str) -> list[str]:
    """Tests of a module by its name, and of its whole room where none have it."""
    room, stem = file.split("/")[1], Path(file).stem
    there = sorted(path.relative_to(ROOT / "tests") for path in (ROOT / "tests" / room).rglob("test_*.py"))
    named = [path for path in there if path.stem == f"test_{stem}"]
    return [str(path.with_suffix("")) for path in named or there]


def _put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def _shown(node: ast.AST) -> str:
    """Its first line, short."""
    if isinstance(node, ast.If | ast.While):
        return f"if {ast.unparse(node.test)}"
    text = ast.unparse(node).strip().splitlines()[0]
    return text if len(text) <= 120 else f"{text[:117]}..."


def _is_types(node: ast.BinOp) -> bool:
    """``X | None`` of a type alias."""
    return isinstance(node.op, ast.BitOr) and any(
        isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right)
    )


def _is_path(node: ast.BinOp) -> bool:
    """A path put together, not a division: anything else would crash, and flatter the score."""
    text = isinstance(node.right, ast.JoinedStr) or (
        isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
    )
    return isinstance(node.op, ast.Div) and (text or ast.unparse(node.left) in ("path", "self.root", "systems"))


def all_mutants(part: str) -> list[Mutant]:
    """Of one part, with those that change nothing anyone could see."""
    place = ROOT / PARTS[part]
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = [mutant for file in files for mutant in mutants_of(file, part)]
    names = {mutant.name for mutant in found}
    if unknown := [name for name in equivalents() if name.startswith(PARTS[part]) and name not in names]:
        sys.exit(f"{EQUIVALENT.name} names mutants that do not exist: {'; '.join(unknown)}")
    return found


def visible(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Those that somebody can tell from the original."""
    known = equivalents()
    return [mutant for mutant in mutants if mutant.name not in known]


def equivalents() -> dict[str, str]:
    """Name -> why nobody can tell it from the original."""
    if not EQUIVALENT.is_file():
        return {}
    return {one["name"]: one["reason"] for one in tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])}


# --- running tests ---------------------------------------------------------------------------------------------------


class Plugin:
    """Runs the collected tests that are wanted, the quick ones first, and remembers which one failed."""

    def __init__(self, exports: Path, wanted: Sequence[str] = ("",), took: Mapping[str, float] | None = None) -> None:
        self.wanted, self.took = tuple(wanted), took or {}
        self.exports, self.failed, self.seconds = exports, "", dict[str, float]()
        self.ran = 0

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Leave out what is not asked for. Exporting a network takes 6 s and asks for no cost: it is done once."""
        place = {test: number for number, test in enumerate(chosen(self.wanted, self.took))}
        items[:] = [item for item in items if item.nodeid.startswith(self.wanted)]
        items.sort(key=lambda item: place.get(item.nodeid, -1))
        for module in config.pluginmanager.get_plugins():  # sys.modules has but one of all that are called conftest
            if hasattr(module, "CASES") and hasattr(module, "export"):
                module.export = self._cached(module.export)
                for make in module.CASES.values():  # before the clock of any test runs
                    module.export(make(), self.exports)

    def _cached(self, export: Any) -> Any:
        def cached(architecture: Any, folder: Path) -> bytes:
            place = self.exports / f"{hashlib.sha256(json.dumps(architecture.to_json()).encode()).hexdigest()}.tflite"
            if not place.is_file():
                done = place.with_suffix(".part")
                done.write_bytes(export(architecture, folder))
                done.replace(place)
            return place.read_bytes()

        return cached

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up the time of a test; note the first that fails."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        """A module that cannot be imported is a failure too."""
        if report.failed and not self.failed:
            self.failed = report.nodeid or "collection"


def warm() -> None:
    """Import what takes long, for all forks; nothing of ``nas``. One thread each: others do not outlive a fork."""
    import importlib

    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    for name in (*HEAVY, *HEAVY_TOO):
        importlib.import_module(name)
    assert not any(name == "nas" or name.startswith("nas.") for name in sys.modules)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    status: str
    """``killed``, ``survived`` or ``timeout``."""
    by: str
    seconds: float
    tests: int


class Tree:
    """A copy of the tracked files, in which mutants are tested."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self.exports = folder / "exports"
        self.exports.mkdir(parents=True, exist_ok=True)
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, tracked.decode().split("\0")):
            source, target = ROOT / name, self.root / name
            if source.is_file() and not (target.is_file() and target.read_bytes() == source.read_bytes()):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def run(
        self, tests: Sequence[str], only: str, limit: float, result: Path, took: Mapping[str, float] | None = None
    ) -> Outcome:
        """Run tests in a fork, until one fails; what Python compiles of a fault must not be kept."""
        start = time.monotonic()
        result.unlink(missing_ok=True)
        if not forked(lambda: self._child(tests, only, result, took), limit):
            return Outcome("timeout", "", time.monotonic() - start, 0)
        seconds = time.monotonic() - start
        if not result.is_file():  # it died: a fault that crashes is noticed
            return Outcome("killed", "crash", seconds, 0)
        found = json.loads(result.read_text())
        if took is None and found["code"] and not found["failed"]:  # a fault may break what pytest begins with
            sys.exit(f"pytest ends with {found['code']} though no test failed")
        if took is None and not found["ran"] and not found["failed"]:
            sys.exit(f"every test is skipped: {tests}")
        return Outcome("killed" if found["code"] else "survived", found["failed"], seconds, found["ran"])

    def _child(self, tests: Sequence[str], only: str, result: Path, took: Mapping[str, float] | None) -> None:
        self.enter(compiles=False)
        import pytest

        plugin = Plugin(self.exports, tests, took)
        code = pytest.main([*self.words(only), "-x", *files_of(tests)], plugins=[plugin])
        found = {"code": int(code), "failed": plugin.failed, "ran": plugin.ran, "seconds": plugin.seconds}
        result.write_text(json.dumps(found))

    def words(self, only: str) -> list[str]:
        """Flags of pytest."""
        early = "ignore::pytest.PytestAssertRewriteWarning"  # plugins are imported already
        few = ["-q", "-p", "no:cacheprovider", "--no-header", "--capture=no", "--sweep"]
        return [
            *few,
            "-o",
            "tmp_path_retention_policy=failed",
            "-W",
            early,
            f"--rootdir={self.root}",
            *(["-k", only] if only else []),
        ]

    def enter(self, compiles: bool) -> None:
        """Make the copy the place from which ``nas`` comes, also for processes that tests start."""
        os.chdir(self.root)
        sys.path[:0] = [str(self.root)]
        sys.dont_write_bytecode = not compiles
        os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        where = os.dup(1)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        shown.append(where)
        from hypothesis import Phase, settings

        # A counterexample is enough, the smallest one is not needed. The suite's own profile builds on the default.
        settings.register_profile("mutants", phases=(Phase.explicit, Phase.reuse, Phase.generate))
        settings.load_profile("mutants")

    def replace(self, name: str, text: str) -> str:
        """Write a file; returns what it held. What Python compiled of it goes."""
        path = self.root / name
        held = path.read_text()
        path.write_text(text)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
        return held


shown = [1]  # where ``say`` writes, also once the output of tests goes nowhere


def forked(work: Callable[[], None], limit: float) -> bool:
    """Do it in a fork; whether that ended within so many seconds. What it started ends with it."""
    start, child = time.monotonic(), os.fork()
    if child == 0:
        try:
            os.setsid()
            work()
        finally:
            os._exit(1)
    ended = False
    while not ended and time.monotonic() - start < limit:
        time.sleep(0.005)
        ended = os.waitpid(child, os.WNOHANG)[0] != 0
    with suppress(ProcessLookupError):  # nothing of it is left
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
    return ended


class Server:
    """A plugin of pytest that runs every test once, and then for each mutant those of its module in a fork."""

    def __init__(self, mutants: Sequence[Mutant], log: Path, tree: Tree) -> None:
        self.mutants, self.log, self.tree = mutants, log, tree
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what no mutant asks for."""
        wanted = tuple({test for mutant in self.mutants for test in mutant.tests})
        items[:] = [item for item in items if item.nodeid.startswith(wanted)]

    def pytest_runtestloop(self, session: Any) -> bool:
        """In place of pytest's own."""
        from _pytest.runner import runtestprotocol

        items = session.items
        if session.testsfailed:
            sys.exit("the tests cannot be collected")
        for item, after in zip(items, [*items[1:], session], strict=True):  # a session keeps what tests share
            reports = runtestprotocol(item, log=False, nextitem=after)
            if not any(report.skipped for report in reports):  # what is skipped notices nothing
                self.seconds[item.nodeid] = sum(report.duration for report in reports)
            if bad := [report for report in reports if report.failed]:
                say(f"{item.nodeid} fails without any fault\n{bad[0].longreprtext[-2000:]}")
                os._exit(1)
        skipped = len(items) - len(self.seconds)
        say(f"{len(self.seconds)} tests pass without a fault, {sum(self.seconds.values()):.0f} s; {skipped} skipped")
        if untested := {mutant.tests for mutant in self.mutants if not chosen(mutant.tests, self.seconds)}:
            say(f"every test is skipped: {untested}")
            os._exit(1)
        by_name = {item.nodeid: item for item in items}
        first = min((mutant.tests for mutant in self.mutants), key=lambda tests: len(chosen(tests, self.seconds)))
        if (found := self._examine(first, lambda: True, session, by_name)) is None or found.status != "survived":
            say(f"in a fork, {first} fail without any fault: {found}")
            os._exit(1)
        for number, mutant in enumerate(self.mutants, 1):
            outcome = self._examine(mutant.tests, functools.partial(implant, mutant), session, by_name)
            if outcome is not None:
                note(self.log, mutant, outcome)
                say(f"{number}/{len(self.mutants)} {outcome.status:9} {outcome.seconds:5.1f} s  {mutant.name}")
        os._exit(0)

    def _examine(
        self, wanted: Sequence[str], implanted: Callable[[], bool], session: Any, items: dict[str, Any]
    ) -> Outcome | None:
        """``None``: nothing changed by it, or it hangs, for which the fork may be to blame: in a process of its own."""
        from _pytest.runner import runtestprotocol

        tests, result, start = chosen(wanted, self.seconds), WORK / "result.json", time.monotonic()
        result.unlink(missing_ok=True)

        def run() -> list[Any] | None:
            if not implanted():
                return None
            for number, (test, after) in enumerate(zip(tests, [*tests[1:], ""], strict=True), 1):
                reports = runtestprotocol(items[test], log=False, nextitem=items.get(after, session))
                if any(report.failed for report in reports):
                    return ["killed", test, number]
            return ["survived", "", len(tests)]

        def work() -> None:
            try:
                result.write_text(json.dumps(run()))
            except BaseException:
                result.write_text(json.dumps(["error", traceback.format_exc(), 0]))

        ended = forked(work, FORK_SECONDS + TIMES_SLOWER_IN_A_FORK * sum(self.seconds[test] for test in tests))
        seconds = time.monotonic() - start
        if not ended or not result.is_file():
            return None
        found = json.loads(result.read_text())
        if found and found[0] == "error":
            say(found[1])
            os._exit(1)
        return found and Outcome(found[0], found[1], seconds, found[2])


def implant(mutant: Mutant) -> bool:
    """Give the functions of a module the code that they have in the mutant; whether one of them changed."""
    import gc

    name = mutant.file.removesuffix(".py").replace("/", ".")
    codes: dict[str, Any] = {}

    def gather(code: Any) -> None:
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                codes[constant.co_qualname] = constant
                gather(constant)

    gather(compile(mutant.text, f"{mutant.file} with a fault", "exec"))
    changed, compiled = False, dict[Any, Any]()
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__module__ == name and "<lambda>" not in one.__qualname__:
            code = codes.get(one.__qualname__)
            if code is not None and code.co_freevars == one.__code__.co_freevars:
                changed |= (code.co_code, code.co_consts) != (one.__code__.co_code, one.__code__.co_consts)
                one.__code__ = code
        elif type(one) is functools._lru_cache_wrapper and str(one.__module__).startswith("nas."):
            one.cache_clear()
        elif type(one).__name__ == "CPUDispatcher" and one.__module__.startswith("nas."):
            compiled[one.py_func] = one
    forget_compiled(compiled, name)
    return changed


def forget_compiled(compiled: Mapping[Any, Any], module: str) -> None:
    """Let Numba compile the functions of a module again, and all that call them, at their next call.

    Without this the machine code without the fault would run. The fault is kept out of Numba's cache on the disk.

    Args:
        compiled: Python function -> Numba's dispatcher.
        module: the module with the fault.
    """
    from numba.core.caching import NullCache

    stale = {function for function in compiled if function.__module__ == module}
    while callers := {
        function
        for function in compiled.keys() - stale
        if any(getattr(function.__globals__.get(name), "py_func", None) in stale for name in function.__code__.co_names)
    }:
        stale |= callers
    for function in stale:
        compiled[function]._reset_overloads()
        compiled[function]._cache = NullCache()


def chosen(wanted: Sequence[str], seconds: Mapping[str, float]) -> list[str]:
    """Tests that were asked for: of the first file or name the quick ones first, and so on."""
    place = {test: next((i for i, start in enumerate(wanted) if test.startswith(start)), -1) for test in seconds}
    return sorted((test for test in seconds if place[test] >= 0), key=lambda test: (place[test], seconds[test], test))


# --- campaigns -------------------------------------------------------------------------------------------------------


def campaign(options: argparse.Namespace) -> None:
    """Draw mutants, test each, print the score of each part and who survived."""
    parts = [options.part] if options.part else list(PARTS)
    everyone = {part: all_mutants(part) for part in parts}
    drawn = [mutant for part in parts for mutant in draw(everyone[part], options.sample, options.seed)]
    log: Path = options.log or WORK / "log.jsonl"
    if options.log is None:
        log.unlink(missing_ok=True)
    known = logged(log)
    again = {name for name, one in known.items() if options.again and one["status"] == "survived"}
    todo = [mutant for mutant in drawn if mutant.name not in known or mutant.name in again]
    test(todo, again, log, options.only)
    known = logged(log)
    for part in parts:
        tell(part, len(visible(everyone[part])), [known[mutant.name] for mutant in drawn if mutant.part == part])


def test(todo: Sequence[Mutant], again: Collection[str], log: Path, only: str) -> None:
    """Test mutants, those of ``again`` in processes of their own, and log what became of them."""
    if not todo:
        return
    warm()
    tree = Tree(WORK)
    quick = [mutant for mutant in todo if mutant.inside and mutant.name not in again]
    if quick:
        forked(lambda: serve(tree, quick, log, only), float("inf"))
        if not logged(log).keys() & {mutant.name for mutant in quick}:
            sys.exit("no test was run")
    known = logged(log)
    rest = [mutant for mutant in todo if mutant.name not in known or mutant.name in again]
    took = seconds_without_fault(tree, rest, only)
    for number, mutant in enumerate(rest, 1):
        outcome = examine(tree, mutant, only, took)
        note(log, mutant, outcome)
        say(f"{number}/{len(rest)} {outcome.status:9} {outcome.seconds:5.1f} s  {mutant.name}")


def serve(tree: Tree, mutants: Sequence[Mutant], log: Path, only: str) -> None:
    """Run the tests of all these modules in this process, and the mutants in its forks."""
    tree.enter(compiles=True)
    import pytest

    tests = sorted({test for mutant in mutants for test in mutant.tests})
    pytest.main(
        [*tree.words(only), *files_of(tests)], plugins=[Plugin(tree.exports, tests), Server(mutants, log, tree)]
    )
    say("the tests do not run")


def honesty(options: argparse.Namespace) -> None:
    """Put each fault of ``honesty_mutants.toml`` in, and tell which ones nobody noticed."""
    log: Path = options.log or WORK / "honesty.jsonl"
    if options.log is None:
        log.unlink(missing_ok=True)
    faults = [_fault(one) for one in tomllib.loads(HONESTY.read_text())["mutant"]]
    known = logged(log)
    test([fault for fault in faults if fault.name not in known], (), log, options.only)
    known = logged(log)
    unnoticed = [fault.name for fault in faults if known[fault.name]["status"] != "killed"]
    say("\n".join([f"\n{len(faults) - len(unnoticed)} of {len(faults)} faults noticed", *unnoticed]))


def _fault(one: dict[str, Any]) -> Mutant:
    """A fault of the list; in a function, unless it says otherwise."""
    held = (ROOT / one["file"]).read_text()
    if held.count(one["old"]) != 1:
        sys.exit(f"{one['breaks']}: {one['file']} holds it {held.count(one['old'])} times")
    text = held.replace(one["old"], one["new"])
    return Mutant(one["breaks"], "honesty", one["file"], 0, text, one.get("inside", True), tuple(one["tests"]))


def say(text: str) -> None:
    """One line on stdout, at once."""
    os.write(shown[-1], f"{text}\n".encode())


def seconds_without_fault(tree: Tree, mutants: Sequence[Mutant], only: str) -> dict[str, float]:
    """Run the tests of all these mutants once in a process of its own; returns how long each took."""
    if not mutants:
        return {}
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    outcome = tree.run(tests, only, SLOW_SECONDS, WORK / "result.json")
    if outcome.status != "survived":
        sys.exit(f"{outcome.by} fails without a fault")
    took: dict[str, float] = json.loads((WORK / "result.json").read_text())["seconds"]
    return took


def files_of(tests: Collection[str]) -> list[str]:
    """The files in which tests are."""
    return sorted({test.partition("::")[0] for test in tests})


def examine(tree: Tree, mutant: Mutant, only: str, took: Mapping[str, float]) -> Outcome:
    """Run the tests of its module on one mutant, written into the tree."""
    held = tree.replace(mutant.file, mutant.text)
    limit = SLACK_SECONDS + TIMES_SLOWER * sum(took[test] for test in chosen(mutant.tests, took))
    try:
        return tree.run(mutant.tests, only, limit, WORK / "result.json", took)
    finally:
        tree.replace(mutant.file, held)


def draw(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of them, the first of one shuffled list: a larger sample holds a smaller one. 0: all.

    Equivalent ones are left out of the shuffled list, so that one more of them changes one mutant of the sample.
    """
    shuffled = mutants.copy()
    random.Random(seed).shuffle(shuffled)
    return sorted(visible(shuffled)[: count or None], key=lambda mutant: (mutant.file, mutant.line, mutant.name))


def logged(path: Path) -> dict[str, dict[str, Any]]:
    """What a log says of each mutant; of several lines, the last."""
    if not path.is_file():
        return {}
    return {one["name"]: one for one in map(json.loads, path.read_text().splitlines())}


def note(path: Path, mutant: Mutant, outcome: Outcome) -> None:
    """Append a line to the log."""
    record = {
        "name": mutant.name,
        "line": mutant.line,
        "status": outcome.status,
        "by": outcome.by,
        "tests": outcome.tests,
    }
    record["seconds"] = round(outcome.seconds, 2)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def tell(part: str, possible: int, found: list[dict[str, Any]]) -> None:
    """Score of a part, and its survivors."""
    if not found:
        return
    counts = Counter(one["status"] for one in found)
    noticed = counts["killed"] + counts["timeout"]
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    low, high = wilson(noticed, len(found))
    sampled = f", of all between {low:.1%} and {high:.1%} (95 %)" if len(found) < possible else ""
    say(f"\n{part}: {noticed / len(found):.1%} of {len(found)} mutants noticed ({told}); {possible} possible{sampled}")
    for one in found:
        if one["status"] == "survived":
            say(f"  {one['status']} line {one['line']}: {one['name']}")


def wilson(found: int, of: int) -> tuple[float, float]:
    """Where a share lies of which a sample found so much, with 95 % confidence: Wilson's interval."""
    z = 1.959964
    middle, half = found / of + z**2 / (2 * of), z * math.sqrt(found / of * (1 - found / of) / of + (z / of) ** 2 / 4)
    return (middle - half) / (1 + z**2 / of), (middle + half) / (1 + z**2 / of)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "honesty", "list"):
        command = commands.add_parser(name)
        command.add_argument("--log", type=Path, help="file of results so far: one JSON object a line")
        command.add_argument("--part", choices=PARTS)
        command.add_argument("--sample", type=int, default=100, help="mutants of each part; 0: all")
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--only", default="", help="tests to run, as pytest -k has it: 'not emulated_core'")
        command.add_argument("--again", action="store_true", help="test those that survived once more, in the file")
    return parser.parse_args()


def main() -> None:
    """Run one command."""
    options = arguments()
    if options.command == "list":
        for part in [options.part] if options.part else PARTS:
            found = visible(all_mutants(part))
            say(f"{part}: {len(found)}")
            for mutant in found:
                say(f"  {mutant.line}: {mutant.name}")
        return
    (honesty if options.command == "honesty" else campaign)(options)


if __name__ == "__main__":
    main()
