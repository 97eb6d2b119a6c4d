from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.engines import Candidate
from nas.engines.run_folder import RunFolder
from nas.errors import RunFolderError

RECORD = {"schema": 1, "status": "created"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs" / "first", RECORD)


@pytest.fixture
def full(run: RunFolder, candidates: list[Candidate]) -> RunFolder:
    for candidate in candidates:
        run.append(candidate)
    return run


def test_what_is_written_reads_back(full: RunFolder, candidates: list[Candidate]) -> None:
    again = RunFolder.open(full.path)
    assert again.candidates() == candidates
    assert again.record() == RECORD
    assert again.winner.is_dir()


def test_a_new_run_has_no_candidates(run: RunFolder) -> None:
    assert run.candidates() == []


def test_the_record_changes_key_by_key(run: RunFolder) -> None:
    run.update(status="searching", budget={"ops": 3})
    assert run.record() == {"schema": 1, "status": "searching", "budget": {"ops": 3}}


def test_a_line_is_only_ever_added(full: RunFolder, candidates: list[Candidate]) -> None:
    before = (full.path / "candidates.jsonl").read_bytes()
    full.append(candidates[0])
    assert (full.path / "candidates.jsonl").read_bytes().startswith(before)


@pytest.mark.parametrize("cut", [1, 2, 50])
def test_a_line_cut_short_by_a_kill_is_none_and_reading_does_not_change_the_file(
    full: RunFolder, candidates: list[Candidate], cut: int
) -> None:
    file = full.path / "candidates.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:-cut])
    assert full.candidates() == candidates[:2]
    assert file.read_bytes() == content[:-cut]
    full.append(candidates[2])
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    "line", ["{}", "[]", "half a line", '{"number": 1, "architecture": {}, "cost": {}, "score": 1, "seconds": 1}']
)
def test_a_damaged_line_is_told(full: RunFolder, line: str) -> None:
    with (full.path / "candidates.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunFolderError, match=r"candidates.jsonl"):
        full.candidates()


def test_a_second_run_in_the_same_folder_is_refused(full: RunFolder, candidates: list[Candidate]) -> None:
    with pytest.raises(RunFolderError, match=r"holds a run already: go on with --resume .*first"):
        RunFolder.create(full.path, RECORD)
    assert full.candidates() == candidates


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run in .*: there is no .*run.json"):
        RunFolder.open(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write the run folder .*file/run: Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", RECORD)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema": 2}', "\x00"])
def test_a_damaged_record_is_told(run: RunFolder, text: str) -> None:
    run.record_file.write_text(text)
    with pytest.raises(RunFolderError, match=r"run.json: "):
        run.record()


HOLD = """
import sys
from pathlib import Path
from nas.engines.run_folder import RunFolder
with RunFolder.open(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_work_in_one_folder(run: RunFolder) -> None:
    """And the lock of a killed process is no lock any more."""
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(RunFolderError, match=r"another process works in .*first; wait for it or stop it"),
            run.locked(),
        ):
            pass
        other.kill()
        other.wait()
    with run.locked():
        pass


def test_a_candidate_is_one_line_of_json(full: RunFolder, candidates: list[Candidate]) -> None:
    lines = (full.path / "candidates.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]
    assert json.loads(lines[1])["cost"] == candidates[1].cost.to_json()
