"""A sound submission passes, and each of many broken copies is caught with its reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import InputError
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.mlperf.session import open_session
from nas.submission import rules
from nas.submission.checker import check

ORGANISATION, SYSTEM = "open/nasorg", "board__net"
FILES = {"kws": (1000, 12, "kws01"), "ic": (200, 10, "ic01")}
Call = Callable[..., Any]


class Oracle:
    """Gives class 0 for a file of an even first byte, else what its first byte says; one in 0.1 s."""

    input_bytes = 2

    def __init__(self, classes: int) -> None:
        self.classes, self.clock, self.data = classes, 0, bytes(2)

    def load(self, data: bytes) -> None:
        self.data = data

    def infer(self) -> None:
        self.clock += 100_000

    def results(self) -> list[float]:
        values = np.full(self.classes, 0.1 / self.classes)
        values[0 if self.data[1] else self.data[0]] += 0.9
        return values.tolist()


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two benchmarks, as our runner writes them, with all that belongs to them."""
    root = tmp_path_factory.mktemp("sound")
    place = root / ORGANISATION
    for benchmark, (count, classes, model) in FILES.items():
        data = tmp_path_factory.mktemp(benchmark)
        lines = []
        for number in range(count):
            (data / f"{number}.bin").write_bytes(bytes([number % classes, number % 10 == 3]))
            lines.append(f"{number}.bin,{classes},{number % classes}")
        (data / "y_labels.csv").write_text("\n".join(lines))
        for mode in ("accuracy", "performance"):
            network = Oracle(classes)
            device = Device(model, network, lambda network=network: network.clock)  # type: ignore[misc]
            session = open_session(Runner(DirectLink(device)), data)
            session.runner.identify()
            getattr(session, mode)(lambda done, total: None)
            session.write(place / "results" / SYSTEM / benchmark / mode)
        (place / "code" / benchmark / "net").mkdir(parents=True)
        (place / "code" / benchmark / "net" / "README.md").write_text("how to train it\n")
    (place / "systems").mkdir()
    described = dict.fromkeys(rules.SYSTEM_KEYS, "none") | {"Submitter": "nasorg", "Division": "open", "Status": "RDI"}
    (place / "systems" / f"{SYSTEM}.json").write_text(json.dumps(described))
    (place / "systems" / "TinyMLPerf_v1.4_Submission_Checklist.docx").write_bytes(b"answers")
    (place / "README.md").write_text("how to reproduce it\n")
    return root


def test_a_sound_submission(sound: Path) -> None:
    checked = check(sound)
    assert checked.findings == ()
    assert checked.results == (f"{ORGANISATION}/results/{SYSTEM}/ic", f"{ORGANISATION}/results/{SYSTEM}/kws")


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def remove(name: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def write(name: str, text: str = "x") -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)

    return change


def describe(key: str, value: Any) -> Callable[[Path], None]:
    """With another value in the description of the system; ``None``: without the key."""

    def change(place: Path) -> None:
        path = place / "systems" / f"{SYSTEM}.json"
        found = json.loads(path.read_text()) | {key: value}
        path.write_text(json.dumps({name: text for name, text in found.items() if text is not None}))

    return change


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda place: (place / old).rename(place / new) and None  # type: ignore[func-returns-value]


def empty(place: Path) -> None:
    (place / "code" / "empty").mkdir()


def link(place: Path) -> None:
    (place / "code" / "link").symlink_to(place / "README.md")


def large(place: Path) -> None:
    with (place / "code" / "kws" / "weights.bin").open("wb") as file:
        file.truncate(rules.MOST_BYTES + 1)


def fewer(place: Path) -> None:
    path = place / KWS / "accuracy" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))


def other_division(place: Path) -> None:
    (place.parents[1] / "half-open").mkdir()


TRIAL = """\
Energy data for trial 0
  Elapsed time  : 10.0
  Inferences    : 100
  Power         : 5.0000 mW.
  Total Energy  : 50000.000 uJ
  Energy/Inf    : 500.000 uJ/inf
"""
MEDIAN = "Median energy cost is 500.0000 uJ/inf.\n"
KWS, IC = f"results/{SYSTEM}/kws", f"results/{SYSTEM}/ic"
JSON = f"systems/{SYSTEM}.json"
BROKEN: list[tuple[str, Callable[[Path], None], str, bool]] = [
    ("division", other_division, "is no division: expected open or closed", True),
    ("no results", remove("results"), "has no results/", True),
    ("no readme", remove("README.md"), "has no README.md", False),
    ("no checklist", remove("systems/TinyMLPerf_v1.4_Submission_Checklist.docx"), "no submission checklist", False),
    ("link", link, "is a symbolic link", True),
    ("large", large, "has 50,000,001 bytes", True),
    ("cache", write("code/kws/__pycache__/a.pyc"), "must not be handed in", True),
    ("empty", empty, "is empty", True),
    ("dot", write("code/kws/.DS_Store"), "begins with a dot or holds a blank", False),
    ("blank", write("code/kws/my net.py"), "begins with a dot or holds a blank", False),
    ("undescribed", remove(JSON), "is missing: a system with results", True),
    ("no json", write(JSON, "{"), "is no JSON:", True),
    ("a list", write(JSON, "[]"), "is no JSON object", True),
    ("status", describe("Status", "soon"), "has the status 'soon'", True),
    ("no status", describe("Status", None), "lacks the key 'Status'", True),
    ("no board", describe("Board Name", None), "lacks the key 'Board Name'", False),
    ("number", describe("Processor(s) Frequencies", 120), "'Processor(s) Frequencies' is no text", False),
    ("type", describe("system_type", "mcu"), "has the key 'system_type'", True),
    ("submitter", describe("Submitter", "other"), "Submitter is 'other', its folder 'nasorg'", False),
    ("closed", describe("Division", "closed"), "Division is 'closed', its folder 'open'", False),
    ("orphan", write("systems/other.json", "{}"), "describes a system without results", False),
    ("own name", rename(KWS, f"results/{SYSTEM}/kws_small"), "is no benchmark", True),
    ("ic2 alone", rename(IC, f"results/{SYSTEM}/ic2"), "needs ic of the same system too", True),
    ("no accuracy", remove(f"{KWS}/accuracy"), "is missing", True),
    ("no performance", remove(f"{KWS}/performance"), "is missing", True),
    ("no results.txt", remove(f"{IC}/accuracy/results.txt"), "is missing", True),
    ("no results.json", remove(f"{IC}/accuracy/results.json"), "is missing", False),
    ("no log", remove(f"{IC}/performance/log.txt"), "is missing", False),
    ("another file", write(f"{IC}/performance/notes.txt"), "does not belong there", False),
    ("no top 1", edit(f"{KWS}/accuracy/results.txt", " Top 1% =", " Top-1:"), "tells no Top 1%", True),
    (
        "another top 1",
        edit(f"{KWS}/accuracy/results.txt", "Top 1% = 9", "Top 1% = 8"),
        "right answers, results.txt says",
        False,
    ),
    ("fewer files", fewer, "has 999 files, the official list 1000", False),
    ("rows", write(f"{KWS}/accuracy/results.json", "[1]"), "cannot be read: expected a list", False),
    ("no median", edit(f"{KWS}/performance/results.txt", "Median", "Mean"), "tells no median throughput", True),
    (
        "error",
        edit(f"{IC}/performance/results.txt", "window 5", "window 5 ERROR 2 - loop"),
        "tells of an error: ERROR 2",
        True,
    ),
    ("short", edit(f"{IC}/performance/results.txt", "Runtime: 1", "Runtime: "), "each must last 10 s", False),
    ("windows", edit(f"{IC}/performance/results.txt", "    Runtime", "    Run"), "has 0 windows, 5 must be", False),
    (
        "median",
        edit(f"{KWS}/performance/results.txt", "    10.000 inf", "    11.000 inf"),
        "but 10 is the median",
        False,
    ),
    ("energy", write(f"{KWS}/energy/results.txt", "nothing"), "tells no median energy cost", True),
    ("trials", write(f"{KWS}/energy/results.txt", TRIAL * 4 + MEDIAN), "has 4 trials, 5 must be", False),
    (
        "short trial",
        write(f"{KWS}/energy/results.txt", TRIAL * 4 + TRIAL.replace("10.0", "9.99") + MEDIAN),
        "has a trial of 9.99 s, each must last 10 s",
        False,
    ),
    (
        "median energy",
        write(f"{KWS}/energy/results.txt", TRIAL * 5 + MEDIAN.replace("500", "400")),
        "says 400.0000, but 500 is the median",
        False,
    ),
    ("no code", remove("code/kws"), "holds no code", False),
    ("sww", write(f"results/{SYSTEM}/sww/performance/results.txt", "nothing"), "tells no estimated throughput", True),
]


@pytest.mark.parametrize(
    ("change", "reason", "official"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_broken_copy_is_caught(
    change: Callable[[Path], None], reason: str, official: bool, sound: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    change(copy / ORGANISATION)
    found = [finding for finding in check(copy).findings if reason in finding.text]
    assert found
    assert found[0].official == official


def test_the_closed_division_has_targets(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "open", tmp_path / "closed")
    texts = [finding.text for finding in check(tmp_path).findings]
    assert not any("at least" in text for text in texts)
    path = tmp_path / "closed" / "nasorg" / KWS / "accuracy" / "results.txt"
    path.write_text(path.read_text().replace("Top 1% = 9", "Top 1% = 8"))
    assert any("at least 90.0 must be" in finding.text for finding in check(tmp_path).findings)


@pytest.mark.parametrize(("division", "caught"), [("open", False), ("closed", True)])
def test_wakewords_that_were_missed(division: str, caught: bool, tmp_path: Path) -> None:
    folder = tmp_path / division / "nasorg" / "results" / SYSTEM / "sww" / "energy"
    folder.mkdir(parents=True)
    (folder / "results.txt").write_text(
        "Estimated throughput: 50.0 inf./sec.\nAccuracy: 41 True positives, 9 False negatives, 2 False positives\n"
        "Average duty cycle: 0.5\n"
    )
    texts = [finding.text for finding in check(tmp_path).findings]
    assert any("more than 8 false answers" in text for text in texts) == caught
    assert not any("tells no" in text or "account for" in text for text in texts)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        check(tmp_path / "nowhere")


def test_the_command_ends_with_exit_code_4(call_nas: Call, sound: Path, tmp_path: Path) -> None:
    done = call_nas("submit", "--check", sound)
    assert (done.code, done.out) == (0, "2 results, 0 findings\n")
    (tmp_path / "open").mkdir()
    done = call_nas("submit", "--check", tmp_path, "--json")
    assert done.code == 4
    assert json.loads(done.out)["findings"][0]["text"].startswith("holds no results")
