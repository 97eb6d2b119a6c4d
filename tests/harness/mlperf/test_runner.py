"""The runner measures what a device does, and ends with a clear error where it does something else."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError, InputError, ValidationError
from nas.harness.mlperf import runner as module
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.pty import Port, open_port, serve
from nas.harness.mlperf.runner import DirectLink, Link, Runner
from nas.harness.mlperf.serial_port import SerialLink
from nas.harness.mlperf.session import Entry, Session, _auc, open_session

CLASSES = 3
INPUT_BYTES = 40


class Largest:
    """Tells which third of its input has the largest sum, in a given time."""

    input_bytes = INPUT_BYTES

    def __init__(self, microseconds: int = 0) -> None:
        self.sums, self.clock, self.took = np.zeros(CLASSES), 0, microseconds

    def load(self, data: bytes) -> None:
        self.sums = np.array([part.sum() for part in np.array_split(np.frombuffer(data, np.uint8), CLASSES)], float)

    def infer(self) -> None:
        self.clock += self.took

    def results(self) -> list[float]:
        return [float(value) for value in self.sums / max(self.sums.sum(), 1)]


def device(microseconds: int = 1000) -> Device:
    network = Largest(microseconds)
    return Device("kws01", network, lambda: network.clock)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine files of three classes, the last of which is labelled wrongly."""
    rng, lines = np.random.default_rng(0), []
    for number in range(9):
        values = rng.integers(0, 100, INPUT_BYTES).astype(np.uint8)
        np.array_split(values, CLASSES)[number % CLASSES][:] += 100
        (tmp_path / f"{number}.bin").write_bytes(values.tobytes())
        lines.append(f"{number}.bin, {CLASSES}, {number % CLASSES if number < 8 else 0}")
    (tmp_path / "y_labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER_SECONDS", "INFERENCE_SECONDS"):
        monkeypatch.setattr(module, name, 0.3)


def started(link: Link, folder: Path) -> Session:
    session = open_session(Runner(link), folder)
    session.runner.identify()
    return session


def nothing(done: int, total: int) -> None:
    pass


def test_accuracy_in_the_official_files(folder: Path, tmp_path: Path) -> None:
    session = open_session(Runner(DirectLink(device())), folder)
    assert session.runner.identify() == "kws01"
    found = session.accuracy(nothing)
    session.write(tmp_path / "out")
    assert found["top1_percent"] == pytest.approx(100 * 8 / 9)
    assert 0.8 < found["auc"] < 1
    lines = (tmp_path / "out" / "results.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "ulp-mlperf: Top 1% = 88.9",
        f"ulp-mlperf: AUC = {found['auc']:.3f}",
    ]
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["class"] for row in rows] == [0, 1, 2, 0, 1, 2, 0, 1, 0]
    assert rows[0]["infer"]["elapsed_time"] == 1000
    assert all("throughput" not in row["infer"] for row in rows)
    assert len(rows[0]["infer"]["results"]) == CLASSES
    log = (tmp_path / "out" / "log.txt").read_text()
    assert log.count("TX: db load 40%") == log.count("TX: infer 1 0%") == log.count("m-results-[") == 9
    assert (folder / "0.bin").read_bytes()[:8].hex() not in log


def test_performance_is_the_median_of_five_windows_of_ten_seconds(folder: Path, tmp_path: Path) -> None:
    session = started(DirectLink(device(150_000)), folder)
    found = session.performance(nothing)
    session.write(tmp_path / "out")
    assert found["throughput"] == pytest.approx(1 / 0.15)
    assert len(found["windows"]) == 5
    assert all(row["infer"]["elapsed_time"] >= 10e6 for row in session.rows)
    assert [row["infer"]["warmups"] for row in session.rows] == [10] * 5
    assert [row["infer"]["throughput"] for row in session.rows] == pytest.approx([1 / 0.15] * 5)
    text = (tmp_path / "out" / "results.txt").read_text()
    assert text.count("Runtime requirements have been met.") == 5
    assert "ulp-mlperf: Median throughput is      6.667 inf./sec.\n" in text


def sent(session: Session) -> list[str]:
    return [line.removeprefix("TX: ").removesuffix("%") for line in session.runner.log if line.startswith("TX: ")]


@pytest.mark.parametrize(
    ("microseconds", "probes", "count"),
    [(1000, ["infer 1 1", "infer 101 0"], 11_000), (150_000, ["infer 1 1"], 74), (2_000_000, ["infer 1 1"], 6)],
)
def test_the_conversation_of_a_measurement(
    microseconds: int, probes: list[str], count: int, folder: Path, tmp_path: Path
) -> None:
    """One inference is timed, or more if it took less than 0.1 s; then 11 s are asked of each of five files."""
    session = started(DirectLink(device(microseconds)), folder)
    session.performance(nothing)
    window = ["db load 40", f"infer {count} {min(count, 10)}"]
    assert sent(session) == ["name", "profile", "db load 40", *probes, *window * 5]
    assert [row["file"] for row in session.rows] == [f"{number}.bin" for number in range(5)]
    session.write(tmp_path / "out")
    windows = [f"Performance results for window {number}\n    # Inferences : {count}\n" for number in range(1, 6)]
    text = (tmp_path / "out" / "results.txt").read_text()
    assert all(window in text for window in windows)


def test_a_window_is_repeated_where_the_device_became_faster(folder: Path) -> None:
    """Without warm-ups, as it is warm; the next windows ask for as many inferences at once."""

    class Warming(Largest):
        runs = 0

        def infer(self) -> None:
            self.runs += 1
            self.took = 1000 if self.runs < 5000 else 500
            super().infer()

    network = Warming()
    session = started(DirectLink(Device("kws01", network, lambda: network.clock)), folder)
    found = session.performance(nothing)
    asked = [command for command in sent(session) if command.startswith("infer")]
    assert asked[2] == "infer 11000 10"
    assert asked[4:] == ["infer 22000 0", *["infer 22000 10"] * 4]
    assert found["windows"] == pytest.approx([2000] * 5)


def test_the_longest_wait_for_a_quiet_device_is_short(folder: Path) -> None:
    """What it said when it was switched on is read until it is silent once."""

    class Counted(DirectLink):
        calls = 0

        def receive(self, seconds: float) -> bytes:
            self.calls += 1
            return super().receive(seconds)

    link = Counted(device())
    Runner(link).identify()
    assert link.calls <= 4


def test_empty_lines_of_a_device_are_not_shown(folder: Path) -> None:
    told = b"\r\nfirst\r\n\r\nlast\r\n\r\nm-ready\r\n"
    with pytest.raises(ValidationError, match=r"which benchmark it runs: first; last\Z"):
        Runner(Broken(lambda sent: told, 1)).identify()


def test_an_auc_needs_samples_of_every_class() -> None:
    """Of many classes it is the mean of each against the rest; of two or fewer it is that of the last output."""
    scores = np.eye(3)[[0, 1, 2, 0]]
    assert _auc(scores, np.array([0, 1, 2, 0])) == 1.0
    assert np.isnan(_auc(scores, np.array([0, 1, 1, 0])))
    assert _auc(np.array([[0.1], [0.7], [0.9]]), np.array([0, 1, 1])) == 1.0
    assert _auc(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([1, 0])) == 0.0
    assert np.isnan(_auc(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([1, 1])))


def test_windows_of_an_autoencoder(tmp_path: Path) -> None:
    """A file is sent window by window; its score is the mean of theirs."""
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(bytes([50 * number] * 60))
    (tmp_path / "y_labels.csv").write_text("".join(f"{n}.bin,2,{int(n > 1)},{INPUT_BYTES},10\n" for n in range(4)))

    class Sum(Largest):
        def results(self) -> list[float]:
            return [float(self.sums.sum())]

    network = Sum(1)
    session = started(DirectLink(Device("ad01", network, lambda: network.clock)), tmp_path)
    assert session.accuracy(nothing)["auc"] == 1.0
    assert session.rows[1]["infer"]["results"] == [[2000.0]] * 3
    assert session.rows[1]["infer"]["total_inferences"] == 3


def test_a_file_without_stride_is_one_piece() -> None:
    assert list(Entry("a.bin", 2, 0).pieces(b"abc")) == [b"abc"]
    assert list(Entry("a.bin", 2, 0, 2).pieces(b"abc")) == [b"ab"]
    assert list(Entry("a.bin", 2, 0, 1, 1).pieces(b"abc")) == [b"a", b"b", b"c"]
    assert list(Entry("a.bin", 2, 0, 2, 1).pieces(b"abc")) == [b"ab", b"bc"]
    assert list(Entry("a.bin", 2, 0, 1).pieces(b"ab")) == [b"a"]


def test_a_clock_that_stands_still(folder: Path) -> None:
    session = started(DirectLink(device(0)), folder)
    with pytest.raises(ValidationError, match="the clock of the device stands still"):
        session.performance(nothing)
    assert sent(session)[-2:] == ["infer 1 1", "infer 1000 0"]


def test_a_device_that_becomes_ever_faster(folder: Path) -> None:
    class Hasty(Largest):
        def infer(self) -> None:
            super().infer()
            self.took = max(self.took * 0.99, 1)

    network = Hasty(1_000_000)
    session = started(DirectLink(Device("kws01", network, lambda: int(network.clock))), folder)
    with pytest.raises(ValidationError, match=r"a window lasted 9\.\d+ s, it must last 10"):
        session.performance(nothing)


class Broken:
    """A link to a device that does something else once it has answered ``good`` commands."""

    def __init__(self, then: Callable[[bytes], bytes], good: int) -> None:
        self.link, self.then, self.good = DirectLink(device()), then, good

    def send(self, data: bytes) -> None:
        self.good -= 1
        if self.good >= 0:
            self.link.send(data)
        else:
            self.link._waiting += self.then(data)

    def receive(self, seconds: float) -> bytes:
        return self.link.receive(seconds)

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("good", [0, 1, 3, 8])
@pytest.mark.parametrize(
    ("then", "message"),
    [
        (lambda sent: b"", "no answer from the device for 0.3 s"),  # stalls
        (lambda sent: b"m-timestamp-mode-performance\r\nm-init-done\r\nm-ready\r\n", "the device"),  # resets itself
        (lambda sent: b"\xff\x00babble\r\n" * 3 + b"m-ready\r\n", "the device"),
        (lambda sent: b"e-[Unknown command: \xff]\r\nm-ready\r\n", r"with e-\["),
        (lambda sent: b"m-results-[nan,]\r\nm-ready\r\n", "the device"),
    ],
    ids=["stalls", "resets", "babbles", "refuses", "nan"],
)
def test_a_device_that_fails(then: Callable[[bytes], bytes], message: str, good: int, folder: Path) -> None:
    """Whatever was measured before is kept."""
    runner = Runner(Broken(then, good))
    session = open_session(runner, folder)

    def run() -> None:
        runner.identify()
        session.accuracy(nothing)

    with pytest.raises(ValidationError, match=message):
        run()
    session.write(folder / "out")
    assert "TX: " in (folder / "out" / "log.txt").read_text()


@pytest.mark.usefixtures("quick")
def test_a_device_that_never_stops_talking(folder: Path) -> None:
    class Endless(Broken):
        def receive(self, seconds: float) -> bytes:
            return b"babble"

    with pytest.raises(ValidationError, match="a line of the device does not end"):
        Runner(Endless(lambda sent: b"", 0)).ask("name")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Path]:
    """A device behind a pty."""
    link = tmp_path / "board"

    def answer(port: Port) -> None:
        with contextlib.suppress(OSError):  # the port is closed at the end
            serve(device(), port)

    with open_port(link) as port:
        thread = threading.Thread(target=answer, args=(port,), daemon=True)
        thread.start()
        yield link
        client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    os.close(client)
    thread.join(1)


def test_a_board_on_a_serial_port(board: Path, folder: Path) -> None:
    pytest.importorskip("serial", reason="needs pyserial")
    link = SerialLink(str(board))
    session = open_session(Runner(link), folder)
    assert session.runner.identify() == "kws01"
    direct = started(DirectLink(device()), folder)
    assert session.accuracy(nothing) == direct.accuracy(nothing)
    assert session.rows == direct.rows
    link.close()
    again = Runner(SerialLink(str(board)))
    assert again.identify() == "kws01"  # clients come and go
    again.link.close()


@pytest.mark.usefixtures("quick")
def test_a_board_that_is_pulled_off(folder: Path) -> None:
    """In the middle of a measurement; what was measured before is kept."""
    pytest.importorskip("serial", reason="needs pyserial")
    master, slave = os.openpty()
    tty.setraw(slave)
    link = SerialLink(os.ttyname(slave))

    def answer() -> None:
        board = device()
        for _ in range(20):
            os.write(master, board.receive(os.read(master, 4096)))
        os.close(slave)
        os.close(master)

    thread = threading.Thread(target=answer)
    thread.start()
    session = started(link, folder)
    with pytest.raises(ValidationError, match=r"the device at /dev/\S+ is gone|no answer from the device"):
        session.accuracy(nothing)
    thread.join()
    link.close()
    session.write(folder / "out")
    assert 0 < len(json.loads((folder / "out" / "results.json").read_text())) < 9


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("serial", reason="needs pyserial")
    with pytest.raises(InputError, match=r"cannot open the serial port .*nowhere"):
        SerialLink(str(tmp_path / "nowhere"))


def test_a_link_is_made_and_taken_away(tmp_path: Path) -> None:
    with open_port(tmp_path / "board") as port:
        assert os.readlink(tmp_path / "board") == port.name
    assert not (tmp_path / "board").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="exists already"), open_port(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="No such file"), open_port(tmp_path / "no" / "folder"):
        pass


def test_a_file_that_is_listed_and_not_there(folder: Path) -> None:
    (folder / "2.bin").unlink()
    session = started(DirectLink(device()), folder)
    with pytest.raises(DataError, match=r"y_labels.csv: '2.bin' is not there; unpack the evaluation files again"):
        session.accuracy(nothing)
    assert len(session.rows) == 2  # what was measured before is kept


@pytest.mark.parametrize("text", ["", "0.bin,3", "0.bin,3,x", "0.bin,3,1,4", "0.bin,3,1,0,4", "0.bin,3,1,4,0"])
def test_a_list_that_cannot_be_read(text: str, folder: Path) -> None:
    (folder / "y_labels.csv").write_text(f"{text}\n")
    with pytest.raises(DataError, match=r"cannot read|0 files, 5 windows take one each"):
        open_session(Runner(DirectLink(device())), folder).performance(nothing)
