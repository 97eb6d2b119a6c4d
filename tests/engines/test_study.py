"""A study in a storage: what one worker leaves there, and how it is found, joined or refused."""

from __future__ import annotations

import math
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_spaces import every_network
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from nas.budget import Budget
from nas.cost.model import cost
from nas.engines import Candidate, Report, SearchRequest, StudyPlace, get_engine, pareto_front
from nas.engines.storage import FileStorage, open_storage, storage_errors
from nas.engines.storage_url import hide_secrets
from nas.errors import InputError
from nas.space import Architecture

IDENTITY = {"space": "5f3a", "budget": "flash_bytes 4000"}
LIMIT = 6


@pytest.fixture(params=["sqlite", "journal"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StudyPlace:
    urls = {"sqlite": f"sqlite:///{tmp_path}/study.db", "journal": f"journal:{tmp_path}/study"}
    return StudyPlace(urls[request.param], "toy", IDENTITY, heartbeat_seconds=1, grace_seconds=2)


@pytest.fixture
def sqlite(tmp_path: Path) -> StudyPlace:
    return StudyPlace(f"sqlite:///{tmp_path}/study.db", "toy", IDENTITY, heartbeat_seconds=1, grace_seconds=2)


@pytest.fixture
def journal(tmp_path: Path) -> StudyPlace:
    """The fastest, where the kind of storage does not matter."""
    return StudyPlace(f"journal:{tmp_path}/study", "toy", IDENTITY, heartbeat_seconds=1, grace_seconds=2)


@pytest.fixture
def in_study(searcher: Any) -> Callable[..., list[Candidate]]:
    """Search in a study within the flash of the network in the middle."""
    searcher.budget = Budget(flash_bytes=cost(searcher.space.points["middle"].graph).flash_bytes)

    def run(place: StudyPlace | None, engine: str = "tpe", limit: int = LIMIT, **changes: Any) -> list[Candidate]:
        request: SearchRequest = replace(searcher.request(1000), limit=limit, study=place, **changes)
        return list(get_engine(engine)(request))

    return run


def tiny_budget(searcher: Any) -> Budget:
    """A handful of networks fit."""
    return Budget(flash_bytes=cost(searcher.space.smallest().graph).flash_bytes + 200)


def load(place: StudyPlace) -> optuna.Study:
    """As any other program that knows Optuna sees it."""
    return optuna.load_study(study_name=place.name, storage=open_storage(place))


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "limit"), [("tpe", 10), ("nsga2", 12), ("random", 4)])
def test_one_worker_finds_what_it_finds_without_a_storage(
    in_study: Callable[..., Any], place: StudyPlace, engine: str, limit: int
) -> None:
    """Past the random ones that an engine starts with."""
    assert in_study(place, engine, limit) == in_study(None, engine, limit)


@pytest.mark.slow
def test_a_finished_study_is_read_and_not_searched_again(
    in_study: Callable[..., Any], place: StudyPlace, searcher: Any
) -> None:
    found = in_study(place)
    searcher.evaluated.clear()
    assert in_study(place) == found
    assert searcher.evaluated == []
    assert len(in_study(place, limit=LIMIT + 2)) == LIMIT + 2
    assert len(searcher.evaluated) == 2


def test_a_resumed_run_gets_what_it_does_not_have(in_study: Callable[..., Any], journal: StudyPlace) -> None:
    found = in_study(journal)
    assert in_study(journal, history=tuple(found[:4])) == found[4:]
    with pytest.raises(InputError, match=r"has no trial 5, which this run has found\nwas it deleted\?"):
        in_study(replace(journal, name="another"), history=tuple(found[5:]))


def test_a_small_space_is_searched_whole_and_ends(
    in_study: Callable[..., Any], journal: StudyPlace, searcher: Any
) -> None:
    searcher.budget = tiny_budget(searcher)
    fitting = {point for point in every_network(searcher.space) if searcher.budget.admits(point)}
    found = in_study(journal, "random", limit=1000)
    assert {candidate.architecture for candidate in found} == fitting
    assert len(found) == len(fitting) > 2


def test_the_study_holds_what_a_dashboard_shows(in_study: Callable[..., Any], place: StudyPlace, searcher: Any) -> None:
    found = in_study(place, "tpe")
    study = load(place)
    assert study.user_attrs["identity"] == {**IDENTITY, "engine": "tpe", "objectives": "score"}
    assert study.metric_names == ["score"]
    for trial, candidate in zip(study.trials, found, strict=True):
        assert (trial.state, trial.value) == (TrialState.COMPLETE, candidate.score)
        assert Architecture.from_json(trial.user_attrs["architecture"]) == candidate.architecture
        assert candidate.cost.to_json().items() <= trial.user_attrs.items()
        assert trial.user_attrs["seconds"] == candidate.seconds
        assert trial.user_attrs["summary"] == candidate.architecture.summary()
        assert trial.constraints == {"flash_bytes": candidate.cost.flash_bytes / searcher.budget.flash_bytes - 1}
        assert searcher.space.choices(candidate.architecture).items() <= trial.params.items()


def test_nsga2_leaves_a_front(in_study: Callable[..., Any], journal: StudyPlace) -> None:
    found = in_study(journal, "nsga2", limit=LIMIT)
    study = load(journal)
    assert study.metric_names == ["score", "flash_bytes"]
    front = pareto_front(found, ["flash_bytes"])
    assert {trial.number for trial in study.best_trials} == {candidate.number for candidate in front}


def test_scores_by_epoch_and_pruned_candidates_come_back(
    in_study: Callable[..., Any], place: StudyPlace, searcher: Any
) -> None:
    def train(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
        for epoch in (1, 2, 3):
            report(epoch, searcher.score(architecture) * epoch)
        return searcher.score(architecture) * 4, 0.5

    found = in_study(place, evaluate=train, limit=9)
    assert {len(candidate.intermediate) for candidate in found} == {2, 3}
    assert {candidate.pruned for candidate in found} == {True, False}
    assert in_study(place, limit=9) == found


@pytest.mark.parametrize("change", [{"identity": {**IDENTITY, "budget": "flash_bytes 9000"}}, {"identity": {}}])
def test_another_search_is_not_joined(
    in_study: Callable[..., Any], journal: StudyPlace, change: dict[str, Any]
) -> None:
    in_study(journal, limit=1)
    with pytest.raises(
        InputError, match=r"study toy in .* is of another search: budget flash_bytes 4000 there, "
    ) as told:
        in_study(replace(journal, **change))
    assert str(told.value).count("\n") == 1
    with pytest.raises(InputError, match="of another search: engine tpe there, nsga2 here"):
        in_study(journal, "nsga2")


def test_a_study_of_another_program_is_not_joined(in_study: Callable[..., Any], journal: StudyPlace) -> None:
    study = optuna.create_study(study_name=journal.name, storage=open_storage(journal), direction="maximize")
    with pytest.raises(InputError, match=r"study toy in .* was not made by nas search\n"):
        in_study(journal, "nsga2")
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(InputError, match=r"study toy in .* was not made by nas search\n"):
        in_study(journal)


def test_a_network_whose_evaluation_fails_is_free_again(
    in_study: Callable[..., Any], journal: StudyPlace, searcher: Any
) -> None:
    def fail(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
        searcher.evaluated.append(architecture)
        raise KeyboardInterrupt

    searcher.budget = tiny_budget(searcher)
    with pytest.raises(KeyboardInterrupt):
        in_study(journal, "random", evaluate=fail)
    (trial,) = load(journal).trials
    assert (trial.state, trial.user_attrs["released"]) == (TrialState.FAIL, "KeyboardInterrupt")
    in_study(journal, "random", limit=1000)
    assert searcher.evaluated[0] in searcher.evaluated[1:]


def test_a_trial_to_be_retried_comes_first(in_study: Callable[..., Any], place: StudyPlace, searcher: Any) -> None:
    """Also where nothing new is left; its worker had died before it wrote more than the network."""
    searcher.budget = tiny_budget(searcher)
    whole = {candidate.architecture for candidate in in_study(place, "random", limit=2)}
    lost = next(p for p in every_network(searcher.space) if searcher.budget.admits(p) and p not in whole)
    attributes = {"architecture": lost.to_json()}
    for state in (TrialState.FAIL, TrialState.WAITING):
        load(place).add_trial(optuna.create_trial(state=state, user_attrs=attributes))
    searcher.evaluated.clear()
    found = in_study(place, "random", limit=1000)
    assert searcher.evaluated[0] == lost
    assert found[2] == Candidate(3, lost, cost(lost.graph), searcher.score(lost), 0.5)
    assert len({candidate.architecture for candidate in found}) == len(found) > 3


def test_a_worker_that_was_taken_for_dead_goes_on(
    in_study: Callable[..., Any], sqlite: StudyPlace, searcher: Any
) -> None:
    """Its trial was failed by another while it was suspended; what it found of it no longer counts."""

    def suspended(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
        searcher.evaluated.append(architecture)
        if number == 1:
            load(sqlite).tell(1, state=TrialState.FAIL)
        return searcher.score(architecture), 0.5

    found = in_study(sqlite, limit=4, evaluate=suspended)
    assert [candidate.number for candidate in found] == [0, 2, 3, 4]
    assert len(set(searcher.evaluated)) == 5


@pytest.mark.slow
def test_where_no_heartbeats_are_kept_a_dead_workers_trial_is_replaced(
    in_study: Callable[..., Any], tmp_path: Path, searcher: Any
) -> None:
    """After a wait, as the worker might live; hence it is not retried either."""
    place = StudyPlace(f"{tmp_path}/study.journal", "toy", IDENTITY, heartbeat_seconds=1, grace_seconds=1)
    in_study(place, limit=2)
    dead = load(place).ask()
    dead.set_user_attr("architecture", searcher.space.smallest().to_json())
    found = in_study(place, limit=4)
    assert [candidate.number for candidate in found] == [0, 1, 3, 4]
    assert searcher.space.smallest() not in searcher.evaluated[2:]


def test_known_points_are_tried_first(in_study: Callable[..., Any], journal: StudyPlace, searcher: Any) -> None:
    middle = searcher.space.points["middle"]
    found = in_study(journal, limit=3, known=(searcher.space.largest(), middle))
    assert found[0].architecture == middle
    assert in_study(journal, limit=3, known=(middle,)) == found


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://localhost", "not a storage that is known here; give sqlite:///FILE.db, journal:FILE, postgresql://"),
        ("study.db", "study.db: not a storage that is known here; give sqlite:///FILE.db"),
        ("postgres://localhost/x", "not a storage that is known here; .* postgresql://"),
        ("sqlite://", "names no file that workers could share; give sqlite:///FILE.db"),
        ("sqlite:////no/such/folder/x.db", "cannot be used: unable to open database file"),
        ("sqlite:///{folder}/text", "cannot be used: file is not a database"),
        ("journal:/no/such/folder/x", "No such file or directory; give a file in a folder that can be written"),
        ("journal:{folder}/text", "not a journal of Optuna"),
        ("{folder}/numbers.journal", "not a journal of Optuna"),
        ("postgresql://nas:secret@127.0.0.1:{port}/x", r"nas:\*\*\*@127.* cannot be used: .*[Cc]onnection refused"),
        ("grpc://localhost", "give host and port, for example grpc://localhost:13000"),
        ("grpc://localhost:many", "give host and port, for example grpc://localhost:13000"),
        ("grpc://127.0.0.1:{port}", "no gRPC proxy of Optuna answers there\n"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_in_two_lines(
    in_study: Callable[..., Any],
    tmp_path: Path,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    told: str,
) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    monkeypatch.setattr("nas.engines.storage.CONNECT_SECONDS", 1)
    (tmp_path / "text").write_text("no data base, and no journal\n" * 100)
    (tmp_path / "numbers.journal").write_text("1\n2\n")
    place = StudyPlace(url.format(folder=tmp_path, port=closed_port), "toy", IDENTITY)
    with pytest.raises(InputError, match=told) as found:
        in_study(place)
    assert str(found.value).count("\n") <= 1
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(("kind", "package"), [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_missing_driver_is_named(
    in_study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs the package {package}, .*\npip install 'mcu-nas\[{kind}\]'"):
        in_study(StudyPlace(f"{kind}://localhost/x", "toy", IDENTITY))


def test_a_study_behind_a_grpc_proxy(in_study: Callable[..., Any], sqlite: StudyPlace) -> None:
    from nas.engines.storage import _let_old_protobuf_read_new_code

    _let_old_protobuf_read_new_code()
    from optuna.storages._grpc.server import make_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server(optuna.storages.get_storage(sqlite.url), "127.0.0.1", port)
    server.start()
    try:
        found = in_study(replace(sqlite, url=f"grpc://127.0.0.1:{port}"), limit=4)
    finally:
        server.stop(None).wait()
    assert in_study(sqlite, limit=4) == found


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://nas:secret@host/db", "postgresql://nas:***@host/db"),
        ("postgresql://nas@host/db?user=a&password=secret&x=1", "postgresql://nas@host/db?user=a&password=***&x=***"),
        ("mysql://nas:se@cret@host:3306/db", "mysql://nas:***@host:3306/db"),
        ("postgresql://nas:pa/ss@host/db", "postgresql://nas:***@host/db"),
        ("postgresql://nas:pa@s/s@host/db", "postgresql://***"),
        ("postgresql://nas:pass@host:5x/db", "postgresql://***"),
        ("postgresql:/nas:pass@host/db", "***"),
        ("postgresql://host/db?sslmode=require&sslpassword=p", "postgresql://host/db?sslmode=require&sslpassword=***"),
        ("mysql://nas@host/db?passwd=p&token=t", "mysql://nas@host/db?passwd=***&token=***"),
        ("journal:/home/a@b/study", "journal:/home/a@b/study"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert StudyPlace(url, "toy", {}).shown == shown


@pytest.mark.parametrize(
    ("said", "url", "shown"),
    [
        ("password is s3cret", "postgresql://nas:s3cret@host/db", "password is ***"),
        ("host 'cret@host'", "mysql://nas:se@cret@host:3306/db", "host '***@host'"),
        ("key abc of nas", "mysql://nas@host/db?token=abc&charset=utf8", "key *** of nas"),
        ("charset utf8", "mysql://nas@host/db?token=abc&charset=utf8", "charset utf8"),
        ("no password", "postgresql://nas@host/db", "no password"),
        ("nothing to hide", "postgresql:/nas:pass@host/db", "nothing to hide"),
    ],
)
def test_secrets_are_taken_out_of_what_a_driver_says(said: str, url: str, shown: str) -> None:
    assert hide_secrets(said, url) == shown


def driver_error(module: str, text: str, details: Callable[[], str] | None = None) -> Exception:
    kind = type("DriverError", (Exception,), {"__module__": module, **({"details": details} if details else {})})
    cause: Exception = kind(text)
    return cause


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (driver_error("psycopg.errors", "line one\nline two"), "cannot be used: line one\n"),
        (driver_error("pymysql.err", "  "), "cannot be used: DriverError\n"),
        (driver_error("grpc._channel", "a dump", lambda self: "not reachable"), "cannot be used: not reachable\n"),
        (OperationalError("SELECT", None, Exception("disk full")), "cannot be used: disk full\n"),
        (StorageInternalError("cannot write"), "cannot be used: cannot write\n"),
        (OperationalError("SELECT", None, Exception("database is locked")), "file locked for 60 seconds\n"),
    ],
)
def test_what_a_driver_says_is_told_in_two_lines(cause: Exception, told: str, sqlite: StudyPlace) -> None:
    def fail(cause: Exception) -> None:
        with storage_errors(sqlite):
            raise cause

    with pytest.raises(InputError) as found:
        fail(cause)
    assert told in str(found.value)
    assert str(found.value).count("\n") == 1
    assert found.value.__cause__ is cause
    forgotten = UnboundLocalError("trial")
    forgotten.__context__ = cause
    with pytest.raises(InputError) as found:
        fail(forgotten)
    assert told in str(found.value)


@pytest.mark.parametrize("cause", [ValueError("ours"), UnboundLocalError("ours"), driver_error("numpy", "theirs")])
def test_errors_of_other_things_are_left_alone(cause: Exception, sqlite: StudyPlace) -> None:
    with pytest.raises(type(cause)) as found, storage_errors(sqlite):
        raise cause
    assert found.value is cause


@pytest.mark.parametrize(
    ("url", "beats"),
    [("sqlite:///a.db", True), ("postgresql://h/x", True), ("mysql://h/x", True), ("grpc://h:1", False)],
)
def test_data_bases_keep_heartbeats(url: str, beats: bool) -> None:
    assert StudyPlace(url, "toy", {}).has_heartbeats is beats


@pytest.mark.parametrize(
    ("signs", "tries", "told"),
    [(["already exists"] * 4, 5, None), (["UNIQUE"] * 5, 5, "UNIQUE"), (["no such host"], 1, "no such host")],
)
def test_an_empty_data_base_that_another_worker_sets_up_is_tried_again(
    signs: list[str], tries: int, told: str | None, sqlite: StudyPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times; another error is told at once."""
    real, made, waiting = FileStorage.__init__, list[int](), [*signs]

    def init(self: FileStorage, *args: Any, **kwargs: Any) -> None:
        made.append(1)
        if waiting:
            raise OperationalError("CREATE TABLE", None, Exception(waiting.pop(0)))
        real(self, *args, **kwargs)

    monkeypatch.setattr(FileStorage, "__init__", init)
    monkeypatch.setattr("nas.engines.storage.time.sleep", lambda seconds: None)
    if told is None:
        open_storage(sqlite)
    else:
        with pytest.raises(InputError, match=told):
            open_storage(sqlite)
    assert len(made) == tries


def test_a_training_that_diverged_is_the_worst(in_study: Callable[..., Any], place: StudyPlace) -> None:
    found = in_study(place, limit=2, evaluate=lambda architecture, number, report: (math.nan, 0.5))
    assert [candidate.score for candidate in found] == [-math.inf, -math.inf]
    assert in_study(place, limit=2) == found
