"""A network over the serial protocol gives what it gives directly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.tflm import TflmModel
from nas.pipeline.bench import Mode, measure
from nas.pipeline.dut import BENCHMARKS, Time, make_device
from nas.pipeline.reporter import Reporter
from nas.pipeline.tested import open_tested

ANCHORS = {  # task -> model, files, and right answers of all files in LiteRT, as published
    "kws": ("kws_ref_model.tflite", "kws01", 902, 1000),
    "ic": ("pretrainedResnet_quant.tflite", "ic01", 174, 200),
}
OTHERS = {"vww": ("vww_96_int8.tflite", "vww01"), "ad": ("ad01_int8.tflite", "ad01")}


@pytest.fixture
def network(checkout: Path) -> Path:
    return checkout / "exported" / "reference" / "kws-64kb" / "winner" / "model.tflite"


@pytest.fixture(scope="module")
def evaluation(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's folders of evaluation files."""
    folder = tmp_path_factory.mktemp("mlperf")
    subprocess.run([sys.executable, shared_data / "unpack.py", "mlperf", folder], check=True, capture_output=True)
    return folder


def started(device: Device) -> Runner:
    runner = Runner(DirectLink(device))
    runner.identify()
    return runner


def test_results_are_those_of_tflm(network: Path) -> None:
    runner = started(make_device(network, "kws", "host", Time.REAL))
    tested, tflm = open_tested(network, "kws", None), TflmModel(network.read_bytes())
    for data in np.random.default_rng(0).integers(-128, 128, (3, 490), dtype=np.int8):
        runner.load(data.tobytes())
        answer = runner.infer(2, 1)
        expected = tested.output.dequantize(tflm.run(tested.convert(data.reshape(1, 49, 10, 1))))[0]
        assert answer.results == pytest.approx(expected, abs=0.0005)
        assert answer.microseconds > 0


@pytest.mark.slow
def test_the_same_answers_on_an_emulated_core_in_modelled_time(network: Path) -> None:
    pytest.importorskip("unicorn", reason="needs the emulator")
    here = started(make_device(network, "kws", "host", Time.REAL))
    there = started(make_device(network, "kws", "stm32l4r5zi", Time.MODELLED))
    data = np.random.default_rng(1).integers(-128, 128, 490, dtype=np.int8).tobytes()
    answers = []
    for runner in (here, there, there):
        runner.load(data)
        answers.append(runner.infer(3, 0))
    assert answers[0].results == answers[1].results
    assert answers[1].microseconds == pytest.approx(answers[2].microseconds, abs=1)
    assert 100_000 < answers[1].microseconds / 3 < 250_000


def test_what_cannot_be_a_device(network: Path) -> None:
    with pytest.raises(InputError, match="no time is modelled of host"):
        make_device(network, "kws", "host", Time.MODELLED)
    with pytest.raises(InputError, match="MLPerf Tiny has no audio: it has kws, vww"):
        measure(network, "audio", None, "host", Mode.ACCURACY, None, Reporter())
    with pytest.raises(InputError, match="--mode needs --data FOLDER"):
        measure(network, "kws", "nowhere", "host", Mode.ACCURACY, None, Reporter())


@pytest.mark.slow
@pytest.mark.parametrize("task", ANCHORS)
def test_the_published_accuracy_over_the_protocol(
    task: str, shared_data: Path, evaluation: Path, tmp_path: Path
) -> None:
    model, files, right, total = ANCHORS[task]
    measured = measure(
        shared_data / "models" / model, task, str(evaluation / files), "litert", Mode.ACCURACY, tmp_path, Reporter()
    )
    assert measured["top1_percent"] == pytest.approx(100 * right / total)
    assert (tmp_path / "results.txt").read_text().count("ulp-mlperf: ") == 2


@pytest.mark.slow
@pytest.mark.parametrize("task", OTHERS)
def test_a_sample_of_the_files_gives_the_outputs_of_the_fast_path(
    task: str, shared_data: Path, evaluation: Path
) -> None:
    model, files = OTHERS[task]
    path = shared_data / "models" / model
    tested, tflm = open_tested(path, task, None), TflmModel(path.read_bytes())
    runner = started(make_device(path, task, "host", Time.REAL))
    size = int(np.prod(tested.task.input_shape))
    for file in sorted((evaluation / files).glob("*.bin"))[:3]:
        if task == "ad":
            sample = np.frombuffer(file.read_bytes(), "<f4")[:size].reshape(1, *tested.task.input_shape)
            output = tested.output.dequantize(tflm.run(tested.convert(sample)))[0]
            expected = np.array([np.square(output - sample.reshape(-1)).mean()])
            sent = file.read_bytes()[: 4 * size]
        else:
            pixels = np.frombuffer(file.read_bytes(), np.uint8).reshape(1, *tested.task.input_shape)
            expected = tested.output.dequantize(tflm.run((pixels ^ 128).view(np.int8)))[0]
            sent = file.read_bytes()
        runner.load(sent)
        assert runner.infer(1, 0).results == pytest.approx(expected, abs=0.0006)
    assert runner.identify() == BENCHMARKS[task]
