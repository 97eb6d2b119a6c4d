from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_networks import make

from nas.cli.sketch import sketch
from nas.cost.file_cost import report
from nas.cost.flash import flash_bytes
from nas.cost.lowering import lower
from nas.cost.model import cost
from nas.engines.run_folder import RunFolder
from nas.export.model_reader import read_model
from nas.harness.tflm import measure_arena
from nas.pipeline.cost import _with_names
from nas.space import Architecture, SearchSpace, load_space

Call = Callable[..., Any]
KEYS = {
    "flash_bytes", "sram_bytes", "activation_bytes", "ops", "macs", "params", "layers", "unsupported",
    "persistent_bytes", "sram_32bit_bytes", "peak_layer", "fits", "slim_flash_bytes", "name", "planned_sram_bytes",
    "instructions", "latency_ms", "measured_sram_bytes", "refused_by_tflm",
}  # fmt: skip


@pytest.fixture
def models(checkout: Path) -> Path:
    return checkout / "tests" / "data" / "models"


@pytest.fixture
def ds_cnn() -> Architecture:
    return load_space("kws_ds_cnn").points["mlperf-ds-cnn"]


def printed(done: Any) -> Any:
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_json_of_a_file(call_nas: Call, models: Path) -> None:
    path = models / "residual_concat.tflite"
    found, expected = printed(call_nas("cost", path, "--json")), report(read_model(path.read_bytes()))
    assert set(found) == KEYS
    assert found["flash_bytes"] == path.stat().st_size
    assert found["sram_bytes"] == found["activation_bytes"] + found["persistent_bytes"] == expected.sram_bytes
    assert found["ops"] == 2 * found["macs"] == expected.ops
    assert found["peak_layer"] == expected.peak
    assert [one["kind"] for one in found["layers"]] == [one.kind for one in expected.layers]
    assert "stm32f446re" in found["fits"]
    assert "profile_tiny" in found["fits"]


@pytest.fixture
def hybrid(tmp_path: Path) -> Path:
    """A dense layer of float activations and INT8 weights, which LiteRT runs and TFLM does not."""
    m = make.Model()
    x = m.tensor((1, 4), "float32")
    inputs = (x, m.tensor((3, 4), data=1, scales=[0.1]), m.tensor((3,), "float32", 0))
    y = m.op("FULLY_CONNECTED", inputs, m.tensor((1, 3), "float32"), "FullyConnectedOptions")
    path = tmp_path / "hybrid.tflite"
    path.write_bytes(bytes(m.pack([x], [y])))
    return path


def test_what_tflm_refuses_fits_nothing(call_nas: Call, hybrid: Path) -> None:
    """And is neither exported nor planned with success."""
    found = printed(call_nas("cost", hybrid, "--json"))
    assert (found["unsupported"], found["fits"], found["measured_sram_bytes"]) == ([], [], None)
    assert found["refused_by_tflm"].startswith("TensorFlow Lite Micro refuses the model: ")
    shown = call_nas("cost", hybrid)
    assert (shown.code, "fits nothing: TensorFlow Lite Micro refuses the model" in shown.out) == (0, True)
    assert "budgets" not in shown.out
    for command in ("export", "plan"):
        done = call_nas(command, hybrid)
        assert (done.code, "TensorFlow Lite Micro refuses the model: " in done.err) == (4, True), done
    assert list(hybrid.parent.iterdir()) == [hybrid]


@pytest.mark.parametrize("name", ["model.lite", "model.bin", "model"])
def test_a_model_of_any_name(name: str, call_nas: Call, models: Path, tmp_path: Path) -> None:
    model = (models / "residual_concat.tflite").read_bytes()
    (tmp_path / name).write_bytes(model)
    found = printed(call_nas("cost", tmp_path / name, "--json"))
    assert found["measured_sram_bytes"] == found["sram_bytes"] == measure_arena(model).total_bytes


def test_a_file_in_words(call_nas: Call, models: Path) -> None:
    done = call_nas("cost", models / "residual_concat.tflite")
    assert (done.code, done.err) == (0, "")
    for words in ("residual_concat.tflite", "CONV_2D", "◀", "SRAM over time", "▲", "arena on a 64-bit host", "modelled",
                  "2 per multiply-accumulate", "peak", "stm32f446re", "profile_small"):  # fmt: skip
        assert words in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_the_benchmark_network(call_nas: Call, shared_data: Path) -> None:
    found = printed(call_nas("cost", shared_data / "models" / "kws_ref_model.tflite", "--json"))
    assert (found["flash_bytes"], found["activation_bytes"], found["ops"]) == (53_936, 16_000, 5_313_536)
    assert found["slim_flash_bytes"] == 33_872
    assert found["unsupported"] == []


def test_unknown_operators_make_totals_lower_bounds(call_nas: Call, models: Path) -> None:
    path = models / "custom.tflite"
    found = printed(call_nas("cost", path, "--json"))
    assert found["unsupported"] == ["my_operator"]
    assert found["fits"] == []
    assert None in [one["macs"] for one in found["layers"]]
    done = call_nas("cost", path)
    for words in ("at least", "my_operator: not counted", "?", "fits at most", "≥"):
        assert words in done.out


def test_a_published_network(call_nas: Call, ds_cnn: Architecture) -> None:
    found = printed(call_nas("cost", "kws_ds_cnn:mlperf-ds-cnn", "--json"))
    assert {key: found[key] for key in ("flash_bytes", "sram_bytes", "ops")} == cost(ds_cnn.graph).to_json()
    assert found["slim_flash_bytes"] == found["flash_bytes"]
    assert [one["name"] for one in found["layers"]] == [op.name for op in ds_cnn.graph.ops]


def test_an_architecture_file(call_nas: Call, tmp_path: Path, ds_cnn: Architecture) -> None:
    (tmp_path / "arch.json").write_text(json.dumps(ds_cnn.to_json()))
    assert printed(call_nas("cost", "arch.json", "--json"))["ops"] == 5_313_536


def test_a_run_folder(call_nas: Call, tmp_path: Path, models: Path, ds_cnn: Architecture) -> None:
    run = RunFolder.create(tmp_path / "run", {"schema": 1})
    assert "the run in run has no model yet" in call_nas("cost", "run").err
    (run.winner / "arch.json").write_text(json.dumps(ds_cnn.to_json()))
    (run.winner / "model.tflite").write_bytes((models / "float_cnn.tflite").read_bytes())
    assert printed(call_nas("cost", "run", "--json"))["flash_bytes"] == (models / "float_cnn.tflite").stat().st_size


def test_layers_of_a_run_have_the_names_of_its_architecture(ds_cnn: Architecture) -> None:
    model = lower(ds_cnn.graph, flash_bytes(ds_cnn.graph))
    nameless = replace(model, ops=tuple(replace(op, name="") for op in model.ops))
    assert _with_names(nameless, ds_cnn) == model
    other = replace(nameless, ops=nameless.ops[1:])
    assert _with_names(other, ds_cnn) == other


@pytest.mark.parametrize("given", ["toy_file", "kws_micronet"])
def test_a_space(call_nas: Call, toy_space: SearchSpace, given: str) -> None:
    space = toy_space if given == "toy_file" else load_space(given)
    what = space.origin if given == "toy_file" else given
    found = printed(call_nas("cost", what, "--json"))
    assert (found["space"], found["task"], found["networks"]) == (space.name, "kws", space.size)
    for end, network in (("smallest", space.smallest()), ("largest", space.largest())):
        expected = cost(network.graph).to_json()
        assert {key: found[end][key] for key in expected} == expected
    words = call_nas("cost", what).out
    for word in ("smallest", "largest", "networks", f"{found['largest']['flash_bytes']:,}", "stm32f446re"):
        assert word in words


def test_a_picture(call_nas: Call, tmp_path: Path, models: Path) -> None:
    for name in ("first.svg", "second.svg", "third.PNG"):
        assert call_nas("cost", models / "residual_concat.tflite", "--plot", name).code == 0
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    assert (tmp_path / "third.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere.tflite"], "no model nowhere.tflite"),
        (["nowhere"], "no model, run or space 'nowhere'"),
        (["kws_ds_cnn:nothing"], "has no point 'nothing'"),
        (["folder"], "no run in folder"),
        (["notes.txt"], "cannot tell what it is by '.txt'"),
        (["notes.tflite"], "not a TFLite model"),
        (["short.tflite"], "damaged TFLite model"),
        (["good.tflite", "--plot", "plot.bmp"], "cannot draw '.bmp'; it can be .svg, .png, .pdf"),
        (["good.tflite", "--plot", "plot"], "it can be .svg, .png, .pdf"),
        (["good.tflite", "--plot", "nowhere/plot.svg"], "cannot write nowhere/plot.svg: No such file"),
        (["good.tflite", "--plot", "folder.svg"], "folder.svg is a folder"),
        (["kws_micronet", "--plot", "plot.svg"], "kws_micronet is a space: give kws_micronet:POINT"),
    ],
    ids=str,
)
def test_bad_input(call_nas: Call, tmp_path: Path, models: Path, words: list[str], named: str) -> None:
    good = (models / "float_cnn.tflite").read_bytes()
    for name, content in (
        ("notes.txt", b"words"),
        ("notes.tflite", b"just words, no model"),
        ("short.tflite", good[:900]),
        ("good.tflite", good),
    ):
        (tmp_path / name).write_bytes(content)
    for name in ("folder", "folder.svg"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.iterdir())
    done = call_nas("cost", *words)
    assert (done.code, done.out) == (2, "")
    assert named in done.err
    assert len(done.err.splitlines()) <= 2
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_heavy_is_imported_for_a_file(models: Path) -> None:
    script = (
        "import atexit, sys\n"
        "heavy = {'torch', 'tensorflow', 'optuna', 'onnx', 'onnx2tf', 'matplotlib', 'tflite_micro'}\n"
        "atexit.register(lambda: print(sorted(set(sys.modules) & heavy), file=sys.stderr))\n"
        "from nas.cli.app import main\n"
        "main()"
    )
    words = [sys.executable, "-c", script, "cost", str(models / "float_cnn.tflite"), "--json"]
    assert subprocess.run(words, capture_output=True, text=True).stderr == "[]\n"


def test_the_sketch_shows_scale_gaps_and_peak(models: Path) -> None:
    found = report(read_model((models / "residual_concat.tflite").read_bytes()))
    lines = sketch(found, 100).plain.splitlines()
    assert f"{found.activation_bytes:,} B" in lines[0] or f"{found.activation_bytes / 1024:.1f} KB" in lines[0]
    assert f"▲{found.peak + 1}" in lines[-1]
    assert "█" in lines[0] or "░" in lines[0]


@pytest.mark.parametrize("copies", [1, 30, 300])
def test_the_sketch_is_no_wider_than_asked(models: Path, copies: int) -> None:
    found = report(read_model((models / "residual_concat.tflite").read_bytes()))
    lines = sketch(replace(found, layers=found.layers * copies), 80).plain.splitlines()
    assert max(map(len, lines)) <= 80
