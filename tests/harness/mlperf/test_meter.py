"""Energy is measured as the benchmark's runner does, with a meter that speaks the LPM01A's protocol."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import queue
import re
import termios
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError, ValidationError
from nas.harness.mlperf import meter as module
from nas.harness.mlperf import pty
from nas.harness.mlperf import runner as runner_module
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.meter import Lpm01a
from nas.harness.mlperf.pty import open_port, serve
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.mlperf.session import Session, open_session
from nas.pipeline import bench
from nas.pipeline.dut import Time, make_device
from nas.pipeline.reporter import Reporter
from nas.pipeline.submit import Board as Measured
from nas.pipeline.submit import write_submission
from nas.submission import rules
from nas.submission.checker import check
from nas.submission.tree import Result

needs_serial = pytest.mark.skipif(importlib.util.find_spec("serial") is None, reason="needs pyserial")
IDLE, BUSY = 4047, 8000  # of 10 nJ in a millisecond
INPUT_BYTES = 40


class PowerShield:
    """The wire of an X-NUCLEO-LPM01A: what it answers, and samples of a simulated time; see its firmware's ``help``."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.said: queue.Queue[bytes] = queue.Queue()
        self.samples, self.edges, self.dumb, self.drops, self.gone = 0, 0, False, 0, False

    def send(self, data: bytes) -> None:
        for command in data.decode().splitlines():
            self.sent.append(command)
            if self.dumb:
                continue
            if command == "volt 5000m":
                self.say(f"PowerShield > error {command}\r\nError detail: voltage out of range")
            else:
                self.say(f"PowerShield > ack {command}")

    def receive(self, seconds: float) -> bytes:
        if self.gone:
            raise ValidationError("the device at /dev/meter is gone")
        try:
            return self.said.get(timeout=seconds)
        except queue.Empty:
            return b""

    def close(self) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.put(f"\r\n{text}\r\n".encode())

    def passes(self, milliseconds: int, sample: int) -> None:
        for _ in range(milliseconds):
            if self.samples % 1000 == 0:
                self.say(f"TimeStamp: {self.samples // 1000:03}s 000ms, buff 00%")
            self.samples += 1
            if self.drops and self.samples % self.drops == 0:
                continue
            self.said.put(f"{sample:04}-08\r\n".encode())

    def pulse(self) -> None:
        self.said.put(f"event {self.edges:02} ris\r\n".encode())
        self.edges += 1


class Board:
    """A network of so many milliseconds; its board draws more while it runs, and pulses a pin."""

    input_bytes = INPUT_BYTES

    def __init__(self, shield: PowerShield, milliseconds: float, wired: bool = True) -> None:
        self.shield, self.took, self.wired, self.behind = shield, milliseconds, wired, 0.0

    def load(self, data: bytes) -> None:
        self.shield.passes(7, IDLE)

    def infer(self) -> None:
        self.behind += self.took
        whole = int(self.behind)
        self.behind -= whole
        self.shield.passes(whole, BUSY)

    def results(self) -> list[float]:
        return [0.25, 0.75]

    def pulse(self) -> None:
        if self.wired:
            self.shield.pulse()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BOOT_SECONDS", 0.1)
    for where in (module, runner_module):
        monkeypatch.setattr(where, "ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number] * INPUT_BYTES))
    (tmp_path / "y_labels.csv").write_text("".join(f"{number}.bin,2,{number % 2}\n" for number in range(5)))
    return tmp_path


def started(folder: Path, shield: PowerShield, board: Board) -> Session:
    device = Device("kws01", board, board.pulse)
    session = open_session(Runner(DirectLink(device), Lpm01a(shield, 3.0)), folder)
    assert session.runner.identify() == "kws01"
    return session


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [250, 40.5, 0.75])
def test_energy_in_the_official_files(
    milliseconds: float, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "ANSWER_SECONDS", 20.0)  # samples of seconds come at once
    shield = PowerShield()
    session = started(folder, shield, Board(shield, milliseconds))
    found = session.energy(lambda done, total: None)
    session.write(tmp_path / "out")
    assert found["milliwatts"] == pytest.approx(80)
    assert found["microjoules"] == pytest.approx(80 * milliseconds, rel=1e-4)
    text = (tmp_path / "out" / "results.txt").read_text()
    assert text.startswith("Power Edition Output\nEnergy data for trial 0\n  Elapsed time  : 1")
    trials = rules.ENERGY_TRIAL.findall(text)
    assert len(trials) == 5
    assert all(10 <= float(seconds) < 13 for seconds, _ in trials)
    assert (match := rules.ENERGY.search(text))
    assert float(match[1]) == pytest.approx(found["microjoules"], rel=1e-6)
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    (_, start), (_, end) = rows[0]["power"]["timestamps"][-2:]
    joules = np.sum(rows[0]["power"]["samples"][start:end])
    assert 1e6 * joules / rows[0]["infer"]["iterations"] == pytest.approx(float(trials[0][1]), abs=0.0006)
    assert [row["file"] for row in rows] == [f"{number}.bin" for number in range(5)]
    assert rows[0]["power"]["voltage"] == 3.0
    assert rows[0]["mode"] == "e"
    assert "elapsed_time" not in rows[0]["infer"]
    log = (tmp_path / "out" / "log.txt").read_text()
    assert not re.search(r"m-lap-us-\d", log)


def test_the_meter_is_set_up_as_the_benchmark_does_and_left_off() -> None:
    shield = PowerShield()
    Lpm01a(shield, 1.8).close()
    first, last = shield.sent.index("volt 1800m"), shield.sent.index("pwr on nostatus")
    assert shield.sent[:2] == ["htc", "pwr off"]
    assert {"acqtime inf", "eventsrc d7 fal", "output energy", "format ascii_dec", "freq 1k"} <= {*shield.sent[:first]}
    assert first < last < shield.sent.index("start")
    assert shield.sent[-3:] == ["stop", "pwr off", "hrc"]


def test_a_meter_that_refuses_or_is_none() -> None:
    with pytest.raises(InputError, match="refuses 'volt 5000m': error volt 5000m"):
        Lpm01a(PowerShield(), 5.0)
    shield = PowerShield()
    shield.dumb = True
    with pytest.raises(ValidationError, match="the power meter does not answer 'htc'"):
        Lpm01a(shield, 3.3)


def test_what_a_meter_says_besides_is_no_answer() -> None:
    class Chatty(PowerShield):
        def send(self, data: bytes) -> None:
            self.say("PowerShield > one moment")
            super().send(data)

    shield = Chatty()
    Lpm01a(shield, 1.8).close()
    assert shield.sent[-1] == "hrc"


def test_a_pin_that_is_not_wired(folder: Path) -> None:
    shield = PowerShield()
    session = started(folder, shield, Board(shield, 10, wired=False))
    with pytest.raises(ValidationError, match="saw 0 pulses of the board's pin, expected 2"):
        session.energy(lambda done, total: None)


def test_samples_that_were_lost(folder: Path) -> None:
    shield = PowerShield()
    shield.drops = 20
    session = started(folder, shield, Board(shield, 40))
    with pytest.raises(ValidationError, match=r"^50 samples of the power meter were lost until its second [1-9]"):
        session.energy(lambda done, total: None)


def test_times_within_a_second_lose_no_samples() -> None:
    shield = PowerShield()
    meter = Lpm01a(shield, 3.0)
    for moment in ("001s 250ms", "001s 750ms", "002s 000ms"):
        shield.say(f"TimeStamp: {moment}, buff 00%")
        for _ in range(500 if moment == "001s 250ms" else 250):
            shield.said.put(b"4047-08\r\n")
    while not shield.said.empty():
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(meter.take().joules) == 1000
    meter.close()


def test_a_meter_that_is_pulled_off(folder: Path) -> None:
    shield = PowerShield()
    session = started(folder, shield, Board(shield, 10))
    shield.gone = True
    with pytest.raises(ValidationError, match="the device at /dev/meter is gone"):
        session.energy(lambda done, total: None)


def test_a_device_in_performance_mode(folder: Path) -> None:
    shield = PowerShield()
    device = Device("kws01", Board(shield, 10), lambda: 0)
    session = open_session(Runner(DirectLink(device), Lpm01a(shield, 3.0)), folder)
    session.runner.identify()
    with pytest.raises(ValidationError, match="told times, as in performance mode"):
        session.energy(lambda done, total: None)


@contextlib.contextmanager
def on_ports(shield: PowerShield, device: Device) -> Iterator[tuple[str, str]]:
    """A board and its meter behind pseudo terminals: the names of their ports."""
    with open_port(None) as port, open_port(None) as meter_port, pytest.MonkeyPatch.context() as patient:
        for where in (module, runner_module):
            patient.setattr(where, "ANSWER_SECONDS", 20.0)  # samples of seconds come at once
        patient.setattr(pty, "PATIENCE_SECONDS", 20.0)
        shield.said, ended = queue.Queue(), threading.Event()  # nothing is left of the ports before

        def hear() -> None:
            while not ended.is_set():
                shield.send(meter_port.read())

        def tell() -> None:
            while not ended.is_set():
                if data := shield.receive(0.05):
                    meter_port.write(data)
                    shield.said.task_done()

        def quietly(act: Callable[..., None], *arguments: object) -> None:
            with contextlib.suppress(OSError):  # of a port that is closed
                act(*arguments)

        acts = ((tell,), (hear,), (serve, InStep(device, shield, meter_port, ended), port))
        threads = [threading.Thread(target=quietly, args=act, daemon=True) for act in acts]
        for thread in threads:
            thread.start()
        yield port.name, meter_port.name
        ended.set()
    for thread in threads:  # or it would take what is meant for the port that gets the same number next
        thread.join(20)
        assert not thread.is_alive()


class InStep:
    """A device that answers once its meter's samples are read, however busy the machine is: both share its clock."""

    def __init__(self, device: Device, shield: PowerShield, meter_port: pty.Port, ended: threading.Event) -> None:
        self.device, self.shield, self.meter_port, self.ended = device, shield, meter_port, ended

    def boot(self) -> bytes:
        return self._after_samples(self.device.boot())

    def receive(self, data: bytes) -> bytes:
        return self._after_samples(self.device.receive(data))

    def _after_samples(self, answer: bytes) -> bytes:
        while (self.shield.said.unfinished_tasks or self._unread()) and not self.ended.is_set():
            time.sleep(0.001)
        return answer

    def _unread(self) -> int:
        count = array("i", [0])
        fcntl.ioctl(self.meter_port._slave, termios.FIONREAD, count)
        return count[0]


@pytest.mark.slow
@needs_serial
def test_a_board_and_its_meter_on_ports(folder: Path) -> None:
    """Two pseudo terminals, opened by pyserial."""
    shield = PowerShield()
    board = Board(shield, 50)
    with on_ports(shield, Device("kws01", board, board.pulse)) as (port, meter):
        where = bench.MeterPort(meter, 3.3)
        found = bench.measure(
            folder, "kws", str(folder), f"serial:{port}", bench.Mode.ENERGY, folder / "out", Reporter(), where
        )
    assert found["microjoules"] == pytest.approx(80 * 50)
    assert (folder / "out" / "results.txt").read_text().count("Energy data for trial") == 5


@pytest.mark.slow
@needs_serial
def test_a_submission_of_a_board_and_then_of_its_energy(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("unicorn", reason="needs the emulator")
    run, files, shield = checkout / "exported" / "reference" / "kws-64kb", tmp_path / "kws01", PowerShield()
    files.mkdir()
    for number in range(5):
        (files / f"{number}.bin").write_bytes(bytes([number] * 490))
    (files / "y_labels.csv").write_text("".join(f"{number}.bin,12,{number}\n" for number in range(5)))
    board = Board(shield, 50)
    board.input_bytes = 490
    speaks, measured = make_device(run, "kws", "stm32l4r5zi", Time.MODELLED), Device("kws01", board, board.pulse)

    def submit(port: str, meter: str | None) -> Result:
        there = Measured(f"serial:{port}", bench.MeterPort(meter, 3.3) if meter else None)
        (result,) = write_submission([run], "nasorg", "stm32l4r5zi", tmp_path, tmp_path / "out", Reporter(), there)
        return result

    with on_ports(shield, measured) as (port, meter), pytest.raises(InputError, match="on the board first"):
        submit(port, meter)
    with on_ports(shield, speaks) as (port, _), monkeypatch.context() as short:
        short.setattr(runner_module, "WINDOW_SECONDS", 0.1)
        first = submit(port, None)
    with on_ports(shield, measured) as (port, meter):
        second = submit(port, meter)
    assert first.microjoules is None
    assert second == replace(first, microjoules=pytest.approx(80 * 50))
    place = tmp_path / "out" / "open" / "nasorg"
    described = json.loads((place / "systems" / "stm32l4r5zi_board__kws_64kb.json").read_text())
    assert (described["Board Name"], described["Status"]) == ("stm32l4r5zi", "RDI")
    readme = (place / "README.md").read_text()
    assert "emulated microcontroller" not in readme
    assert f"{first.latency_ms['measured']:.1f} ms, 4000.0 µJ |" in readme
    texts = [finding.text for finding in check(tmp_path / "out").findings]
    assert len(texts) == 2
    assert "has 5 files" in texts[0]
    assert "each must last 10 s" in texts[1]

    network = next(place.glob("code/kws/*/model.tflite"))
    network.write_bytes(network.read_bytes() + b"0")  # as if another one had been measured
    with on_ports(shield, speaks) as (port, _), monkeypatch.context() as short:
        short.setattr(runner_module, "WINDOW_SECONDS", 0.1)
        assert submit(port, None).microjoules is None
    assert not list(place.glob("results/*/kws/energy"))


def test_energy_takes_a_meter_and_a_board(folder: Path) -> None:
    with pytest.raises(InputError, match="--mode energy takes --meter PORT, that of an X-NUCLEO-LPM01A"):
        bench.measure(folder, "kws", str(folder), "serial:x", bench.Mode.ENERGY, None, Reporter())
    where = bench.MeterPort("/dev/ttyACM1", 3.3)
    with pytest.raises(InputError, match="--mode energy measures a board: --target serial:PORT, not host"):
        bench.measure(folder, "kws", str(folder), "host", bench.Mode.ENERGY, None, Reporter(), where)
