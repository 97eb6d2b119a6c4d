"""A sound submission passes, and each of many broken copies is caught with its reason."""

from __future__ import annotations

import dataclasses
import json
import os
import re
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


def pipe(organisation: Path) -> None:
    os.mkfifo(organisation / "code" / "kws" / "pipe")


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
    ("pipe", pipe, "is neither a file nor a folder", True),
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


# --- where each rule begins ------------------------------------------------------------------------------------------


def findings(root: Path) -> list[str]:
    return [finding.text for finding in check(root).findings]


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound submission, to be changed."""
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", [".git", ".github", "assets", ".vscode", "README.md"])
def test_what_may_stand_beside_the_divisions(name: str, copied: Path) -> None:
    path = copied / name
    path.write_text("about it\n") if "." in name[1:] else path.mkdir()
    assert findings(copied) == []


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: path.mkdir()], ids=["file", "folder"])
def test_what_may_not(make: Callable[[Path], Any], copied: Path) -> None:
    make(copied / "notes")
    assert findings(copied) == ["is no division: expected open or closed"]


def test_a_folder_called_like_the_readme(copied: Path) -> None:
    (copied / "README.md").mkdir()
    assert findings(copied) == ["is no division: expected open or closed"]


def test_a_file_called_like_a_division(copied: Path) -> None:
    (copied / "closed").write_text("x")
    assert findings(copied) == ["is no division: expected open or closed"]


def test_a_tree_without_results_fails_the_official_checker_too(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "note.txt").write_text("no organisation")
    (finding,) = check(tmp_path).findings
    assert (finding.path, finding.official) == (".", True)
    assert str(finding) == ".: holds no results: expected open/ORG/results/SYSTEM/BENCHMARK"


def test_a_finding_says_who_else_would_have_found_it(copied: Path) -> None:
    (copied / ORGANISATION / "README.md").unlink()
    (finding,) = check(copied).findings
    assert str(finding).startswith("open/nasorg: has no README.md")
    assert str(finding).endswith(" (the official checker lets it pass)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.official = True  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        check(copied).findings = ()  # type: ignore[misc]


def test_sizes_and_names_at_the_edge(copied: Path) -> None:
    code = copied / ORGANISATION / "code" / "kws"
    with (code / "weights.bin").open("wb") as file:
        file.truncate(rules.MOST_BYTES)
    (code / ".gitkeep").write_text("")
    assert findings(copied) == []


def test_code_is_files_and_not_folders(copied: Path) -> None:
    code = copied / ORGANISATION / "code" / "ic"
    shutil.rmtree(code)
    (code / "net").mkdir(parents=True)
    found = check(copied).findings
    assert {each.text for each in found} == {"is empty", "holds no code, which the rules ask for"}


@pytest.mark.parametrize(("key", "value"), [("Status", "Preview"), ("Status", "available"), ("Submitter", " NasOrg ")])
def test_case_does_not_matter_in_a_description(key: str, value: str, copied: Path) -> None:
    describe(key, value)(copied / ORGANISATION)
    assert findings(copied) == []


def test_keys_of_a_description_may_have_blanks_around_them(copied: Path) -> None:
    path = copied / ORGANISATION / JSON
    path.write_text(path.read_text().replace('"Accelerator"', '" Accelerator "'))
    assert findings(copied) == []


@pytest.mark.parametrize("key", rules.NEEDED_KEYS)
def test_the_official_checker_ends_without_its_keys(key: str, copied: Path) -> None:
    describe(key, None)(copied / ORGANISATION)
    (finding,) = check(copied).findings
    assert finding.text == f"lacks the key {key!r}"
    assert finding.official


def energy(seconds: float = 10.0, joules: str = "500.000", median: str = "500.0000", trials: int = 5) -> str:
    trial = TRIAL.replace(": 10.0", f": {seconds}").replace("500.000 uJ/inf", f"{joules} uJ/inf")
    return TRIAL * (trials - 1) + trial + MEDIAN.replace("500.0000", median)


def with_energy(root: Path, text: str) -> Path:
    folder = root / ORGANISATION / KWS / "energy"
    folder.mkdir()
    for name in ("log.txt", "results.json"):
        shutil.copy(root / ORGANISATION / KWS / "performance" / name, folder / name)
    (folder / "results.txt").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        (energy(), []),
        (energy(median="500.9"), []),
        (energy(joules="900.0"), []),
        (energy(median="499.1"), []),
        (energy(median="501.0005"), []),
        (energy(median="501.0015"), ["says 501.0015, but 500 is the median"]),
        (energy(median="501.1"), ["says 501.1, but 500 is the median"]),
        (energy(median="498.9"), ["says 498.9, but 500 is the median"]),
        (energy(seconds=9.9), ["has a trial of 9.9 s, each must last 10 s"]),
        (energy(trials=6), ["has 6 trials, 5 must be"]),
        (MEDIAN, ["has 0 trials, 5 must be"]),
    ],
)
def test_energy(text: str, caught: list[str], copied: Path) -> None:
    folder = with_energy(copied, text)
    assert findings(copied) == caught
    (folder / "power.png").write_bytes(b"a picture")
    assert findings(copied) == caught
    (copied / ORGANISATION / KWS / "performance" / "power.png").write_bytes(b"a picture")
    assert findings(copied) == ["does not belong there", *caught]


def test_results_of_the_older_runner(copied: Path) -> None:
    """Which writes a script instead of JSON, and tells trials otherwise."""
    place = copied / ORGANISATION / KWS
    folder = with_energy(copied, MEDIAN)
    (place / rules.EEMBC_MARK).write_text("")
    for each in (place / "accuracy", place / "performance", folder):
        (each / "results.json").unlink()
        (each / "script.async").write_text("script")
    assert findings(copied) == []
    (folder / "script.async").unlink()
    (finding,) = check(copied).findings
    assert finding.text == "is missing"
    assert not finding.official


def throughput(root: Path, median: str) -> None:
    path = root / ORGANISATION / KWS / "performance" / "results.txt"
    path.write_text(re.sub(r"(Median throughput is +)[0-9.]+", rf"\g<1>{median}", path.read_text()))


@pytest.mark.parametrize(
    ("median", "close"),
    [("10.02", True), ("9.98", True), ("10.021", True), ("10.0215", False), ("10.03", False), ("9.97", False)],
)
def test_a_median_has_few_digits(median: str, close: bool, copied: Path) -> None:
    throughput(copied, median)
    assert findings(copied) == ([] if close else [f"says {median}, but 10 is the median"])


@pytest.mark.parametrize(
    ("seconds", "caught"), [("10.000", []), ("9.999", ["has a window of 9.999 s, each must last 10 s"])]
)
def test_each_window_lasts_ten_seconds(seconds: str, caught: list[str], copied: Path) -> None:
    path = copied / ORGANISATION / KWS / "performance" / "results.txt"
    path.write_text(re.sub(r"(Runtime: )[0-9.]+", rf"\g<1>{seconds}", path.read_text(), count=1))
    assert findings(copied) == caught


@pytest.mark.parametrize("mode", ["accuracy", "performance"])
def test_rows_are_read_in_every_mode(mode: str, copied: Path) -> None:
    (copied / ORGANISATION / KWS / mode / "results.json").write_text("[3]")
    (text,) = findings(copied)
    assert text.startswith("cannot be read: expected a list")


def test_a_window_too_many(copied: Path) -> None:
    path = copied / ORGANISATION / KWS / "performance" / "results.txt"
    text = path.read_text()
    runtime = next(line for line in text.splitlines() if "Runtime:" in line)
    path.write_text(f"{runtime}\n{text}")
    assert findings(copied) == ["has 6 windows, 5 must be"]


def accuracy(root: Path) -> tuple[Path, float]:
    path = root / KWS / "accuracy" / "results.txt"
    found = rules.TOP_1.findall(path.read_text())
    return path, float(found[-1])


@pytest.mark.parametrize(("more", "caught"), [(0.05, False), (-0.05, False), (0.052, True), (-0.052, True)])
def test_an_accuracy_has_one_digit(more: float, caught: bool, copied: Path) -> None:
    path, told = accuracy(copied / ORGANISATION)
    path.write_text(path.read_text().replace(f"Top 1% = {told}", f"Top 1% = {told + more:.3f}"))
    assert any("right answers" in text for text in findings(copied)) == caught


@pytest.mark.parametrize(("told", "caught"), [("90.0", False), ("89.9", True)])
def test_the_target_of_the_closed_division_is_reached_by_itself(told: str, caught: bool, copied: Path) -> None:
    (copied / "open").rename(copied / "closed")
    path, found = accuracy(copied / "closed" / "nasorg")
    path.write_text(path.read_text().replace(f"Top 1% = {found}", f"Top 1% = {told}"))
    assert any("at least 90.0 must be" in text for text in findings(copied)) == caught


@pytest.mark.parametrize("place", ["results", f"results/{SYSTEM}"])
def test_files_beside_folders_of_results_are_no_results(place: str, copied: Path) -> None:
    """As the official checker sees it, which looks at folders alone."""
    (copied / ORGANISATION / place / "notes.txt").write_text("about it")
    assert findings(copied) == []


def test_a_folder_may_be_kept_by_an_empty_file(copied: Path) -> None:
    (copied / ORGANISATION / KWS / "accuracy" / ".gitkeep").write_text("")
    assert findings(copied) == []


@pytest.mark.parametrize("rows", ["{", '{"infer": 1}', '[{"class": 1}]', "[3]", '[{"infer": {}}, 3]'])
def test_rows_that_are_none(rows: str, copied: Path) -> None:
    (copied / ORGANISATION / KWS / "accuracy" / "results.json").write_text(rows)
    (text,) = findings(copied)
    assert text.startswith("cannot be read: ")


def test_rows_without_what_they_tell(copied: Path) -> None:
    """Of vectors that cannot be read, nothing is said."""
    path = copied / ORGANISATION / KWS / "accuracy" / "results.json"
    rows = json.loads(path.read_text())
    del rows[5]["class"]
    path.write_text(json.dumps(rows))
    assert findings(copied) == []


def test_vectors_may_be_lists_of_lists(copied: Path) -> None:
    path = copied / ORGANISATION / KWS / "accuracy" / "results.json"
    rows = json.loads(path.read_text())
    for row in rows:
        results = row["infer"]["results"]
        row["infer"]["results"] = results if isinstance(results[0], list) else [results]
    path.write_text(json.dumps(rows))
    assert findings(copied) == []


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("Top-1 AUC = 0.850", []),
        ("Top-1 AUC = 0.840", ["AUC is 0.840, at least 0.85 must be"]),
        ("nothing", ["tells no AUC"]),
    ],
)
@pytest.mark.parametrize(("count", "counted"), [(248, True), (72, True), (247, False)])
def test_anomaly_detection(text: str, caught: list[str], count: int, counted: bool, copied: Path) -> None:
    (copied / "open").rename(copied / "closed")
    place = copied / "closed" / "nasorg"
    describe("Division", "closed")(place)
    shutil.copytree(place / KWS, place / "results" / SYSTEM / "ad")
    shutil.copytree(place / "code" / "kws", place / "code" / "ad")
    folder = place / "results" / SYSTEM / "ad" / "accuracy"
    (folder / "results.txt").write_text(text)
    (folder / "results.json").write_text(json.dumps([{"infer": {"results": [1.0]}}] * count))
    wanted = caught + ([] if counted else [f"has {count} files, the official list 248 or 72"])
    assert [each for each in findings(copied) if "must be" not in each or "AUC" in each] == wanted


@pytest.mark.parametrize(
    ("benchmark", "metric", "target", "files"),
    [
        ("kws", "Top 1%", 90.0, {1000}),
        ("vww", "Top 1%", 80.0, {1000}),
        ("ic", "Top 1%", 85.0, {200}),
        ("ic2", "Top 1%", 91.0, {200}),
        ("ad", "AUC", 0.85, {248, 72}),
    ],
)
def test_targets_are_those_of_the_official_checker(benchmark: str, metric: str, target: float, files: set[int]) -> None:
    """mlcommons/tiny, tools/submission/submission_checker.py: MODEL_CONFIG; files as in its lists of samples."""
    found = rules.BENCHMARKS[benchmark]
    assert (found.metric, found.target, set(found.files)) == (metric, target, files)


def test_two_sets_of_images_come_together(copied: Path) -> None:
    place = copied / ORGANISATION
    shutil.copytree(place / IC, place / "results" / SYSTEM / "ic2")
    shutil.copytree(place / "code" / "ic", place / "code" / "ic2")
    assert findings(copied) == []


LINES = (
    "Estimated throughput: 50.0 inf./sec.",
    "Accuracy: 42 True positives, 8 False negatives, 8 False positives",
    "Average duty cycle: 0.5",
)


def wakeword(root: Path, lines: tuple[str, ...], division: str = "closed", mode: str = "performance") -> list[str]:
    folder = root / division / "nasorg" / "results" / SYSTEM / "sww" / mode
    folder.mkdir(parents=True)
    (folder / "results.txt").write_text("\n".join(lines))
    return [text for text in findings(root) if "wakeword" in text or "false answers" in text or "tells no" in text]


@pytest.mark.parametrize("missing", range(3))
def test_each_line_of_a_wakeword_result_is_looked_for(missing: int, tmp_path: Path) -> None:
    lines = tuple(line for number, line in enumerate(LINES) if number != missing)
    what = ("estimated throughput", "accuracy", "average duty cycle")[missing]
    assert wakeword(tmp_path, lines) == [f"tells no {what}"]


@pytest.mark.parametrize(
    ("counts", "caught"),
    [
        ((42, 8, 8), []),
        ((41, 9, 0), ["has more than 8 false answers of a kind"]),
        ((42, 8, 9), ["has more than 8 false answers of a kind"]),
        ((42, 7, 0), ["does not account for 50 wakewords"]),
        ((43, 8, 0), ["does not account for 50 wakewords"]),
    ],
)
@pytest.mark.parametrize("mode", ["performance", "energy"])
def test_wakewords_are_counted(counts: tuple[int, ...], caught: list[str], mode: str, tmp_path: Path) -> None:
    line = "Accuracy: {} True positives, {} False negatives, {} False positives".format(*counts)
    assert wakeword(tmp_path, (LINES[0], line, LINES[2]), mode=mode) == caught


def test_wakewords_without_a_mode(tmp_path: Path) -> None:
    (tmp_path / "open" / "nasorg" / "results" / SYSTEM / "sww" / "accuracy").mkdir(parents=True)
    assert "has neither energy/ nor performance/" in findings(tmp_path)
