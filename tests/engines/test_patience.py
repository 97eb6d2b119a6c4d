"""A storage on a server is asked again while the server is away, and nothing else is waited for."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import InMemoryStorage
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError

from nas.engines import patience
from nas.engines.patience import is_away, patient

AWAY = OperationalError("SELECT 1", None, Exception("connection refused"))


class Flaky(InMemoryStorage):
    """Raises what it is given, one after the other, before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[Exception] = []
        self.calls = 0

    def write(self, value: int, *, twice: bool = False) -> int:
        self.calls += 1
        if self.fails:
            raise self.fails.pop(0)
        return 2 * value if twice else value

    def write_both(self, value: int) -> int:
        first = self.write(value)
        return first + self.write(value)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def storage(told: list[str]) -> Flaky:
    return patient(Flaky, told.append)()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes by pauses alone."""
    found: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(found), sleep=found.append)
    monkeypatch.setattr(patience, "time", clock)
    return found


def test_a_call_is_made_again_until_it_comes_through(storage: Flaky, pauses: list[float], told: list[str]) -> None:
    storage.fails = [AWAY] * 7
    assert storage.write(3, twice=True) == 6
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15]
    assert told == ["the server of the storage is away; trying again for up to 10 minutes"]
    storage.fails = [AWAY]
    assert storage.write(4) == 4
    assert pauses[7:] == [0.5]
    assert len(told) == 1  # a hiccup is not worth a line


def test_after_ten_minutes_it_is_given_up(storage: Flaky, pauses: list[float]) -> None:
    storage.fails = [AWAY] * 1000
    with pytest.raises(OperationalError):
        storage.write(1)
    assert 600 <= sum(pauses) < 600 + 15
    assert sum(pauses[:-1]) < 600
    storage.fails = [AWAY]
    assert storage.write(1) == 1  # and the next call has patience again


def test_only_the_main_thread_tells(storage: Flaky, pauses: list[float], told: list[str]) -> None:
    """Heartbeats come from another one."""
    storage.fails = [AWAY] * 5
    thread = threading.Thread(target=storage.write, args=[1])
    thread.start()
    thread.join()
    assert len(pauses) == 5
    assert told == []


def test_other_errors_are_raised_at_once(storage: Flaky, pauses: list[float]) -> None:
    for cause in (ValueError("no such trial"), ProgrammingError("SELECT", None, Exception("syntax"))):
        storage.fails = [cause]
        with pytest.raises(type(cause)):
            storage.write(1)
    assert pauses == []
    storage.fails = [AWAY]
    assert storage.write(1) == 1


def test_a_trial_that_is_finished_already_was_finished_by_the_try_before(storage: Flaky, pauses: list[float]) -> None:
    storage.fails = [UpdateFinishedTrialError("trial 1")]
    with pytest.raises(UpdateFinishedTrialError):
        storage.write(1)
    storage.fails = [AWAY, UpdateFinishedTrialError("trial 1")]
    assert storage.write(1) is True


def test_of_a_call_within_a_call_the_outer_one_is_made_again(storage: Flaky, pauses: list[float]) -> None:
    """All that it writes belongs together."""
    storage.fails = [AWAY]
    assert storage.write_both(3) == 6
    assert storage.calls == 3
    assert len(pauses) == 1


def test_what_comes_of_the_way_to_the_server() -> None:
    def code(name: str) -> Exception:
        cause = Exception(name)
        cause.code = lambda: SimpleNamespace(name=name)  # type: ignore[attr-defined]  as of gRPC
        return cause

    outer = RuntimeError("cannot be read")
    outer.__cause__ = AWAY
    assert is_away(AWAY)
    assert is_away(InterfaceError("SELECT", None, Exception("closed")))
    assert is_away(code("UNAVAILABLE"))
    assert is_away(outer)
    assert not is_away(code("NOT_FOUND"))
    assert not is_away(ValueError("no"))
    assert not is_away(None)
    assert isinstance(patient(Flaky, print)(), Flaky)
