"""Whether a tree is a valid MLPerf Tiny submission: every rule of the official checker, and what it misses.

The official one exits with 0 whatever it finds, dies of some mistakes, and passes over others: it counts a benchmark
with issues as absent unless it is the last, and looks neither at times of windows nor at code.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.submission import rules

CLOSE = 0.002  # relative: medians and scores are written with few digits


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    path: str
    """Below the root."""
    text: str
    official: bool
    """Whether the official checker would fail, or end, because of it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}{'' if self.official else ' (the official checker lets it pass)'}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A tree and what is wrong with it."""

    results: tuple[str, ...]
    """``division/org/system/benchmark`` of each result."""
    findings: tuple[Finding, ...]


def check(root: Path) -> Checked:
    """Apply every rule to the tree below a folder that holds ``open/`` or ``closed/``.

    Raises:
        InputError: no such folder.
    """
    if not root.is_dir():
        raise InputError(f"no submission {root}: there is no such folder")
    checker = _Checker(root)
    findings = list(checker.everything())
    if not checker.results:
        findings.append(Finding(".", "holds no results: expected open/ORG/results/SYSTEM/BENCHMARK", True))
    return Checked(tuple(checker.results), tuple(findings))


class _Checker:
    def __init__(self, root: Path) -> None:
        self.root, self.results = root, list[str]()

    def everything(self) -> Iterator[Finding]:
        for place in sorted(self.root.iterdir()):
            if place.name in rules.BESIDE_DIVISIONS or (place.is_file() and place.name == "README.md"):
                continue
            if unreadable := list(self._unreadable(place)):
                yield from unreadable
            elif place.name not in rules.DIVISIONS or not place.is_dir():
                yield self._bad(place, f"is no division: expected {' or '.join(rules.DIVISIONS)}")
            else:
                for organisation in sorted(path for path in place.iterdir() if path.is_dir()):
                    yield from self._tree(organisation)
                    yield from self._organisation(organisation)

    def _bad(self, path: Path, text: str, official: bool = True) -> Finding:
        return Finding(str(path.relative_to(self.root)), text, official)

    def _unreadable(self, place: Path) -> Iterator[Finding]:
        """What leads out of the tree or is too large; nothing of a division that holds such is read."""
        for path in [place, *sorted(place.rglob("*"))]:
            if path.is_symlink():
                yield self._bad(path, "is a symbolic link")
            elif path.is_file() and path.stat().st_size > rules.MOST_BYTES:
                yield self._bad(path, f"has {path.stat().st_size:,} bytes, at most {rules.MOST_BYTES:,} may be")
            elif not path.is_file() and not path.is_dir():
                yield self._bad(path, "is neither a file nor a folder")

    def _tree(self, organisation: Path) -> Iterator[Finding]:
        """Names of everything that is handed in."""
        for path in sorted(organisation.rglob("*")):
            if path.name == "__pycache__":
                yield self._bad(path, "must not be handed in")
            elif path.is_dir() and not any(path.iterdir()):
                yield self._bad(path, "is empty")
            if (path.name.startswith(".") and path.name != ".gitkeep") or " " in path.name:
                yield self._bad(path, "has a name that begins with a dot or holds a blank", official=False)

    def _organisation(self, organisation: Path) -> Iterator[Finding]:
        results, systems = organisation / "results", organisation / "systems"
        if not results.is_dir():
            yield self._bad(organisation, "has no results/")
            return
        if not (organisation / "README.md").is_file():
            yield self._bad(organisation, "has no README.md that says how to reproduce it", official=False)
        if not any(systems.glob(rules.CHECKLIST)):
            yield self._bad(systems, "has no submission checklist, which the rules ask for", official=False)
        named = {path.name for path in results.iterdir() if path.is_dir()}
        for path in sorted(systems.glob("*.json")):
            if path.stem not in named:
                yield self._bad(path, "describes a system without results", official=False)
        for name in sorted(named):
            yield from self._system(organisation, name)

    def _system(self, organisation: Path, name: str) -> Iterator[Finding]:
        yield from self._description(organisation, organisation / "systems" / f"{name}.json")
        folder = organisation / "results" / name
        there = sorted(path for path in folder.iterdir() if path.is_dir())
        names = [path.name for path in there]
        for path in there:
            if path.name not in rules.BENCHMARKS:
                yield self._bad(path, f"is no benchmark: expected {', '.join(rules.BENCHMARKS)}")
                continue
            if rules.TOGETHER.get(path.name, path.name) not in names:
                yield self._bad(path, f"needs {rules.TOGETHER[path.name]} of the same system too")
            self.results.append(str(path.relative_to(self.root)))
            yield from self._code(organisation, path.name)
            yield from self._wakeword(organisation, path) if path.name == "sww" else self._benchmark(organisation, path)

    def _description(self, organisation: Path, path: Path) -> Iterator[Finding]:
        if not path.is_file():
            yield self._bad(path, "is missing: a system with results needs its description")
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            yield self._bad(path, f"is no JSON: {error}")
            return
        if isinstance(found, dict):
            yield from self._described(organisation, path, found)
        else:
            yield self._bad(path, "is no JSON object")

    def _described(self, organisation: Path, path: Path, found: dict[str, Any]) -> Iterator[Finding]:
        if rules.FORBIDDEN_KEY in found:
            yield self._bad(path, f"has the key {rules.FORBIDDEN_KEY!r}, at which the official checker ends")
        keys = {key.strip() for key in found}
        for key in rules.SYSTEM_KEYS:
            if key not in keys:
                yield self._bad(path, f"lacks the key {key!r}", official=key in rules.NEEDED_KEYS)
        for key, value in found.items():
            if not isinstance(value, str):
                yield self._bad(path, f"{key!r} is no text", official=False)
        status = str(found.get("Status", "")).lower()
        if "Status" in found and status not in rules.STATUSES:
            yield self._bad(path, f"has the status {status!r}: expected one of {', '.join(rules.STATUSES)}")
        wanted = {"Submitter": organisation.name, "Division": organisation.parent.name}
        for key, value in wanted.items():
            if key in found and str(found[key]).strip().lower() != value.lower():
                yield self._bad(path, f"{key} is {found[key]!r}, its folder {value!r}", official=False)

    def _code(self, organisation: Path, benchmark: str) -> Iterator[Finding]:
        folder = organisation / "code" / benchmark
        if not folder.is_dir() or not any(path.is_file() for path in folder.rglob("*")):
            yield self._bad(folder, "holds no code, which the rules ask for", official=False)

    def _benchmark(self, organisation: Path, path: Path) -> Iterator[Finding]:
        for name in ("accuracy", "performance"):
            if not (path / name).is_dir():
                yield self._bad(path / name, "is missing")
        if (path / "accuracy").is_dir():
            yield from self._accuracy(organisation.parent.name, path / "accuracy")
        if (path / "performance").is_dir():
            yield from self._performance(path / "performance")
        if (path / "energy").is_dir():
            yield from self._energy(path / "energy")

    def _files(self, folder: Path) -> Generator[Finding, None, str | None]:
        """Findings of a folder of results; gives the text of its ``results.txt``, or none."""
        wanted = rules.EEMBC_FILES if (folder.parent / rules.EEMBC_MARK).is_file() else rules.RESULT_FILES
        there = {path.name for path in folder.iterdir() if path.name != ".gitkeep"}
        for name in sorted(set(wanted) - there):
            yield self._bad(folder / name, "is missing", official=name == "results.txt")
        for name in sorted(there - set(wanted)):
            if not (folder.name == "energy" and name.endswith(".png")):
                yield self._bad(folder / name, "does not belong there", official=False)
        path = folder / "results.txt"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def _rows(self, folder: Path) -> Generator[Finding, None, list[dict[str, Any]] | None]:
        """Findings of ``results.json``; gives its rows, or none."""
        path = folder / "results.json"
        if not path.is_file():
            return None
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(rows, list) or not all(isinstance(row, dict) and "infer" in row for row in rows):
                raise ValueError("expected a list of files with what was inferred")
        except (ValueError, RecursionError) as error:
            yield self._bad(path, f"cannot be read: {error}", official=False)
            return None
        return rows

    def _accuracy(self, division: str, folder: Path) -> Iterator[Finding]:
        benchmark = rules.BENCHMARKS[folder.parent.name]
        text, rows = (yield from self._files(folder)), (yield from self._rows(folder))
        pattern = rules.AUC if benchmark.metric == "AUC" else rules.TOP_1
        found = pattern.findall(text or "")
        if text is not None and not found:
            yield self._bad(folder / "results.txt", f"tells no {benchmark.metric}")
        if found and division == "closed" and float(found[-1]) < benchmark.target:
            yield self._bad(
                folder / "results.txt", f"{benchmark.metric} is {found[-1]}, at least {benchmark.target} must be"
            )
        if rows is None:
            return
        if len(rows) not in benchmark.files:
            counts = " or ".join(map(str, benchmark.files))
            yield self._bad(
                folder / "results.json", f"has {len(rows)} files, the official list {counts}", official=False
            )
        right = _top_1(rows) if benchmark.metric != "AUC" else None
        if found and right is not None and abs(right - float(found[-1])) > 0.051:
            text = f"holds {right:.1f} % right answers, results.txt says {found[-1]}"
            yield self._bad(folder / "results.json", text, official=False)

    def _performance(self, folder: Path) -> Iterator[Finding]:
        text, path = (yield from self._files(folder)), folder / "results.txt"
        yield from self._rows(folder)
        if text is None:
            return
        if error := rules.ERROR.search(text):
            yield self._bad(path, f"tells of an error: {error[0]}")
        median = rules.MEDIAN.search(text)
        if median is None:
            yield self._bad(path, "tells no median throughput")
            return
        seconds = [float(each) for each in rules.RUNTIME.findall(text)]
        each = [float(value) for value in rules.THROUGHPUT.findall(text)]
        if len(seconds) != rules.WINDOWS or len(each) != rules.WINDOWS:
            yield self._bad(path, f"has {len(seconds)} windows, {rules.WINDOWS} must be", official=False)
            return
        if min(seconds) < rules.WINDOW_SECONDS:
            yield self._bad(path, f"has a window of {min(seconds):g} s, each must last 10 s", official=False)
        if abs(statistics.median(each) - float(median[1])) > CLOSE * float(median[1]) + 0.001:
            yield self._bad(path, f"says {median[1]}, but {statistics.median(each):g} is the median", official=False)

    def _energy(self, folder: Path) -> Iterator[Finding]:
        text, path = (yield from self._files(folder)), folder / "results.txt"
        if text is None:
            return
        median = rules.ENERGY.search(text)
        if median is None:
            yield self._bad(path, "tells no median energy cost")
            return
        trials = [(float(seconds), float(energy)) for seconds, energy in rules.ENERGY_TRIAL.findall(text)]
        if not trials and (folder.parent / rules.EEMBC_MARK).is_file():
            return  # the older runner told them otherwise
        if len(trials) != rules.WINDOWS:
            yield self._bad(path, f"has {len(trials)} trials, {rules.WINDOWS} must be", official=False)
            return
        if (shortest := min(seconds for seconds, _ in trials)) < rules.WINDOW_SECONDS:
            yield self._bad(path, f"has a trial of {shortest:g} s, each must last 10 s", official=False)
        middle = statistics.median(energy for _, energy in trials)
        if abs(middle - float(median[1])) > CLOSE * middle + 0.001:
            yield self._bad(path, f"says {median[1]}, but {middle:g} is the median", official=False)

    def _wakeword(self, organisation: Path, path: Path) -> Iterator[Finding]:
        folder = next((path / name for name in ("energy", "performance") if (path / name).is_dir()), None)
        if folder is None:
            yield self._bad(path, "has neither energy/ nor performance/")
            return
        text = yield from self._files(folder)
        if text is None:
            return
        found = [pattern.search(text) for pattern in rules.SWW_LINES]
        for match, what in zip(found, ("estimated throughput", "accuracy", "average duty cycle"), strict=True):
            if match is None:
                yield self._bad(folder / "results.txt", f"tells no {what}")
        accuracy = found[1]
        if accuracy is None:
            return
        right, missed, invented = map(int, accuracy.groups())
        if right + missed != rules.SWW_WAKEWORDS:
            yield self._bad(folder / "results.txt", f"does not account for {rules.SWW_WAKEWORDS} wakewords")
        if organisation.parent.name == "closed" and max(missed, invented) > rules.SWW_MOST_FALSE:
            yield self._bad(folder / "results.txt", f"has more than {rules.SWW_MOST_FALSE} false answers of a kind")


def _top_1(rows: list[dict[str, Any]]) -> float | None:
    """Right answers in percent, by the vectors themselves."""
    try:
        right = [
            max(range(len(values)), key=values.__getitem__) == row["class"] for row in rows for values in _vectors(row)
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return 100 * sum(right) / len(right) if right else None


def _vectors(row: dict[str, Any]) -> list[list[float]]:
    results = row["infer"]["results"]
    return results if results and isinstance(results[0], list) else [results]
