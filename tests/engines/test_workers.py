"""Several worker processes on one study, one of which is killed in the middle of a trial."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from postgres import CannotStartError, Server, postgres_server

from nas.engines import StudyPlace, get_engine
from nas.engines.storage import open_storage
from nas.errors import InputError
from nas.space import Architecture

WORKER = str(Path(__file__).with_name("study_worker.py"))
WAIT_SECONDS = 90
LIMIT = 6


@dataclass(frozen=True)
class Worker:
    """A worker process and the file that it writes."""

    process: subprocess.Popen[bytes]
    file: Path

    def lines(self, key: str) -> list[dict[str, Any]]:
        """What it wrote of one kind, in order."""
        text = self.file.read_text() if self.file.exists() else ""
        return [line for line in map(json.loads, text.splitlines()) if key in line]

    def wait_for(self, key: str, count: int) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while len(self.lines(key)) < count:
            assert self.process.poll() is None, "the worker ended"
            assert time.monotonic() < end, f"no {key} within {WAIT_SECONDS} s"
            time.sleep(0.05)

    def found(self) -> list[dict[str, Any]]:
        """Every candidate that it was told of, by number, once it has ended."""
        assert self.process.wait(WAIT_SECONDS) == 0
        return sorted((line["found"] for line in self.lines("found")), key=lambda one: int(one["number"]))


@pytest.fixture
def start(toy_space: Any, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_one(url: str, hang_at: int = 0) -> Worker:
        file = tmp_path / f"worker{len(workers)}.jsonl"
        command = [sys.executable, WORKER, "tpe", toy_space.origin, url, str(LIMIT), str(hang_at), file]
        workers.append(Worker(subprocess.Popen(command), file))
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


@contextmanager
def own_server() -> Iterator[Server]:
    """A server, where this machine can have one."""
    pytest.importorskip("psycopg")
    try:
        with postgres_server() as running:
            yield running
    except CannotStartError as cause:
        pytest.skip(str(cause))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for the tests that leave it running."""
    with own_server() as running:
        yield running


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_workers_trial_is_retried(
    kind: str, start: Callable[..., Worker], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two start together; one is killed in its second trial; a third joins by the same command."""
    url = f"sqlite:///{tmp_path}/study.db" if kind == "sqlite" else request.getfixturevalue("server").url()
    victim, survivor = start(url, hang_at=2), start(url)
    victim.wait_for("started", 2)
    victim.process.kill()
    joined = start(url)
    found = survivor.found()
    assert joined.found() == found
    assert len(found) == LIMIT

    first, lost = victim.lines("started")
    started = [*survivor.lines("started"), *joined.lines("started")]
    (again,) = [line for line in started if line["network"] == lost["network"]]
    assert again["started"] > lost["started"]
    evaluated = [first, *started]
    assert sorted(line["started"] for line in evaluated) == [candidate["number"] for candidate in found]
    assert len({line["network"] for line in evaluated}) == LIMIT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_of_two_workers_one_retries_the_trial_of_a_third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find it dead at the same moment: each waits a second between looking at its state and setting another."""
    place = StudyPlace(f"sqlite:///{tmp_path}/study.db", "toy", {}, heartbeat_seconds=1, grace_seconds=1)
    storages = [open_storage(place) for _ in range(3)]
    study_id = storages[0].create_new_study([StudyDirection.MAXIMIZE], "toy")
    storages[0].record_heartbeat(storages[0].create_new_trial(study_id))
    time.sleep(2.5)
    both_have_looked = threading.Barrier(2, timeout=1)

    def work(storage: BaseStorage) -> None:
        check = storage.check_trial_is_updatable

        def look(trial_id: int, state: TrialState) -> None:
            with suppress(threading.BrokenBarrierError):
                both_have_looked.wait()
            check(trial_id, state)

        monkeypatch.setattr(storage, "check_trial_is_updatable", look)
        optuna.storages.fail_stale_trials(optuna.load_study(study_name="toy", storage=storage))

    threads = [threading.Thread(target=work, args=[storage]) for storage in storages[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [trial.state for trial in storages[0].get_all_trials(study_id)] == [TrialState.FAIL, TrialState.WAITING]


@pytest.mark.slow
def test_a_server_may_restart_in_mid_search(start: Callable[..., Worker]) -> None:
    """It goes in the middle of two trainings, and for long enough that both workers want to write what came of them."""
    with own_server() as server:
        workers = [start(server.url()) for _ in range(2)]
        for worker in workers:
            worker.wait_for("started", 1)
        server.stop()
        time.sleep(2)
        server.start()
        found = workers[0].found()
        assert workers[1].found() == found
    evaluated = [line for worker in workers for line in worker.lines("started")]
    assert len({line["network"] for line in evaluated}) == len(evaluated) == len(found) == LIMIT


@pytest.mark.slow
def test_a_server_that_stays_away_is_told(searcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait, in two lines; the user heard of it before."""
    monkeypatch.setattr("nas.engines.patience.PATIENCE_SECONDS", 3.0)
    told: list[str] = []
    with own_server() as server:
        request = replace(searcher.request(3), study=StudyPlace(server.url(), "toy", {}, tell=told.append))
        candidates = get_engine("random")(request)
        next(candidates)
        server.stop()
        started = time.monotonic()
        with pytest.raises(InputError, match=r"cannot be used: .*(refused|terminating|closed)") as found:
            list(candidates)
        assert 3 <= time.monotonic() - started < 15
    assert str(found.value).count("\n") == 1
    assert len(told) == 1
    assert "is away" in told[0]


@pytest.mark.slow
def test_a_file_that_stays_locked_is_told(
    searcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After the one wait that is documented, however much was to be written; heartbeats say nothing of it."""
    monkeypatch.setattr("nas.engines.storage.LOCK_SECONDS", 2)
    place = StudyPlace(f"sqlite:///{tmp_path}/study.db", "toy", {}, heartbeat_seconds=1)
    candidates = get_engine("random")(replace(searcher.request(3), study=place))
    next(candidates)
    other = sqlite3.connect(tmp_path / "study.db")

    def score(architecture: Architecture) -> float:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(1.5)
        return 0.0

    searcher.score = score
    started = time.monotonic()
    with pytest.raises(InputError, match=r"study.db: another program kept the file locked for 2 seconds\n"):
        list(candidates)
    assert 2 <= time.monotonic() - started < 5
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_journal_is_shared_without_doubles(start: Callable[..., Worker], tmp_path: Path) -> None:
    """No heartbeats, hence nobody is killed here."""
    workers = [start(f"journal:{tmp_path}/study") for _ in range(2)]
    found = workers[0].found()
    assert workers[1].found() == found
    evaluated = [line for worker in workers for line in worker.lines("started")]
    assert len({line["network"] for line in evaluated}) == len(evaluated) == len(found) == LIMIT


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password": "wrong"}, 'password authentication failed for user "nas"'),
        ({"database": "absent"}, 'database "absent" does not exist'),
    ],
)
def test_what_the_server_refuses_is_told(server: Server, searcher: Any, change: dict[str, str], told: str) -> None:
    request = replace(searcher.request(1), study=StudyPlace(server.url(**change), "toy", {}))
    with pytest.raises(InputError, match=told) as found:
        list(get_engine("random")(request))
    assert str(found.value).count("\n") == 1
    assert "wrong" not in str(found.value)
