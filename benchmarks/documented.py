"""Every command that the README and the pages print, run as printed: before a release, and for whoever doubts them.

    python benchmarks/documented.py --data FOLDER --out documented/ --minutes 5
    python benchmarks/documented.py --list

``FOLDER`` holds what pages name: ``speech_commands``, ``cifar-10-batches-py``, ``vww``, ``toycar``, ``kws01``,
``mlperf``, ``photos``, ``sounds``, ``recordings``, models; what is missing is told, and its commands are left out.
The commands of a page run one after another in a folder of their own. ``RUN`` is a reference network. What needs a
board, a meter, a data base or a name of the reader's own is left out too.

``documented/log.jsonl`` has a line for each: ``page``, ``command``, ``outcome``, exit ``code``, ``seconds``, the
``last`` line of its errors. Outcomes: ``ok``; ``refused``, as the page shows it; ``stopped`` by Ctrl-C after so many
minutes, with exit code 130; ``needs ...``, also a run that was stopped; ``FAILED``. Commands that the log has are not
run again. Exit code 1 where one failed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "docs"))

from printed_commands import PAGES, Printed, commands_of  # noqa: E402

NAS = (sys.executable, "-c", "from nas.cli.app import main; main()")
REFERENCE = ROOT / "exported" / "reference" / "kws-64kb"
GIVEN = {"RUN": "run", "NAME": "some-organisation", "DIR": "speech_commands"}
OUTSIDE = re.compile(r"^[A-Z]{3,}$|/dev/|HOST|user:password|^FILE|qemu:|^--pty$|^--resume$")
SHOWN = re.compile(r"^`(\S+\.toml)`:\n\n```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
INTERRUPTED = 130
SECONDS_TO_STOP = 120  # after Ctrl-C


def main() -> int:
    """Run, or list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the data sets and models that pages name")
    parser.add_argument("--out", type=Path, default=Path("documented"))
    parser.add_argument("--minutes", type=float, default=5.0, help="most for one command")
    parser.add_argument("--list", action="store_true", help="only print the commands")
    given = parser.parse_args()
    commands = [printed for page in PAGES for printed in commands_of(page) if not printed.prose]
    if given.list:
        print("\n".join(map(str, commands)))  # noqa: T201
        return 0
    if given.data is None:
        parser.error("--data FOLDER is missing")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have it ignored in the background
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "log.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for printed in commands:
        if str(printed) not in {line["command"] for line in done}:
            line = carry_out(printed, given.data.resolve(), given.out, 60 * given.minutes, unfinished(done, printed))
            done.append(line)
            print(line["outcome"], printed, sep="\t", flush=True)  # noqa: T201
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
    counts = Counter(line["outcome"].split()[0] for line in done)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))  # noqa: T201
    return int("FAILED" in counts)


def unfinished(done: list[dict[str, Any]], printed: Printed) -> set[str]:
    """Folders that earlier commands of the page were to make, and were stopped before they had."""
    stopped = [
        line["command"].split() for line in done if (line["page"], line["outcome"]) == (printed.where, "stopped")
    ]
    return {words[words.index("--out") + 1] for words in stopped if "--out" in words}


def carry_out(printed: Printed, data: Path, out: Path, seconds: float, missing_runs: set[str]) -> dict[str, Any]:
    """One command, in the folder of its page."""
    line = {"page": printed.where, "command": str(printed)}
    folder = (out / re.sub(r"\W+", "-", printed.where)).resolve()
    prepare(folder, data, ROOT / printed.where)
    words = [GIVEN.get(word, word) for word in printed.words if not re.search(r"^\[|\]$", word)]  # may be repeated
    if runs := missing_runs & {*printed.words}:
        return {**line, "outcome": f"needs {' '.join(runs)}, which was stopped"}
    if missing := needed(printed, folder):
        return {**line, "outcome": f"needs {missing}"}
    started = time.monotonic()
    command = subprocess.Popen([*NAS, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    stopped = False
    try:
        _, said = command.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        stopped = True
        said = stop(command)
    last = (said.strip().splitlines() or [""])[-1]
    found = {"code": command.returncode, "seconds": round(time.monotonic() - started, 1), "last": last}
    return {**line, "outcome": outcome(printed, command.returncode, stopped), **found}


def stop(command: subprocess.Popen[str]) -> str:
    """Ctrl-C; one that does not end by it is killed, and so has another exit code. What it said."""
    command.send_signal(signal.SIGINT)
    try:
        return command.communicate(timeout=SECONDS_TO_STOP)[1]
    except subprocess.TimeoutExpired:
        command.kill()
        return command.communicate()[1]


def prepare(folder: Path, data: Path, page: Path) -> None:
    """What the page may name: data, models, the reference networks, a run of the reader's, files that it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*data.iterdir(), ROOT / "exported"):
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    for name, text in SHOWN.findall(page.read_text()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    if not (folder / "run").exists():
        shutil.copytree(REFERENCE, folder / "run")


def needed(printed: Printed, folder: Path) -> str:
    """What is not here."""
    for flag, word in zip(("", *printed.words), printed.words, strict=False):
        if flag == "--task" and "RUN" in printed.words and word != "kws":
            return f"a run of {word}"
        if word not in GIVEN and OUTSIDE.search(word):
            return word
        read = flag in ("--data", "--teacher", "--check") or (
            flag == printed.words[0] and word.endswith((".tflite", "/", ".toml"))
        )
        if read and word != "builtin" and word not in GIVEN and not (folder / word).exists():
            return word
    return ""


def outcome(printed: Printed, code: int, stopped: bool) -> str:
    """In a word."""
    if stopped:
        return "stopped" if code == INTERRUPTED else "FAILED"
    if any("nas: error" in each for each in printed.output or ()):
        return "refused" if code == 2 or code == 3 else "FAILED"
    return "ok" if code == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
