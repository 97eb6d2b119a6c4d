"""What MLPerf Tiny v1.4 wants of a submission: names, files, figures.

Sources: mlcommons/tiny, tools/submission/submission_checker.py and mlperf_config, the rules, and the runner's output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

DIVISIONS = ("open", "closed")
BESIDE_DIVISIONS = (".git", ".github", "assets", ".vscode")  # that the top folder may hold
STATUSES = ("available", "preview", "rdi")
RESULT_FILES = ("log.txt", "results.txt", "results.json")
EEMBC_FILES = ("log.txt", "results.txt", "script.async")  # of the older runner, phased out
EEMBC_MARK = "EEMBC_RUNNER"
CHECKLIST = "*hecklist*"
MOST_BYTES = 50_000_000  # the official message; its code lets pass ten times as much
WINDOWS = 5
WINDOW_SECONDS = 10.0
SWW_WAKEWORDS = 50
SWW_MOST_FALSE = 8  # positives, and negatives


class Benchmark(NamedTuple):
    """One benchmark: its quality and how many files its official lists have."""

    metric: str
    target: float
    """Of the closed division."""
    files: tuple[int, ...]


BENCHMARKS: Mapping[str, Benchmark] = {
    "kws": Benchmark("Top 1%", 90.0, (1000,)),
    "vww": Benchmark("Top 1%", 80.0, (1000,)),
    "ic": Benchmark("Top 1%", 85.0, (200,)),
    "ic2": Benchmark("Top 1%", 91.0, (200,)),
    "ad": Benchmark("AUC", 0.85, (248, 72)),
    "sww": Benchmark("", 0.0, ()),
}
TOGETHER = {"ic2": "ic"}  # whoever hands in the first needs the second

FIGURE = r"([0-9]+(?:\.[0-9]+)?)"
TOP_1 = re.compile(rf" Top 1% = {FIGURE}")
AUC = re.compile(rf" AUC = {FIGURE}")
MEDIAN = re.compile(rf" Median throughput is +{FIGURE} inf\./sec\.")
RUNTIME = re.compile(rf"^ *Runtime: {FIGURE} sec\.", re.MULTILINE)
THROUGHPUT = re.compile(rf"^ *Throughput: {FIGURE} inf\./sec\.", re.MULTILINE)
ERROR = re.compile(r"ERROR \d.*")
ENERGY = re.compile(rf"Median energy cost is {FIGURE} uJ/inf")
ENERGY_TRIAL = re.compile(rf"^ *Elapsed time +: {FIGURE}.*\n(?:.*\n){{3}} *Energy/Inf +: {FIGURE} uJ/inf", re.MULTILINE)
SWW_LINES = (
    re.compile(rf"Estimated throughput: {FIGURE} inf\./sec\."),
    re.compile(r"Accuracy: (\d{1,9}) True positives, (\d{1,9}) False negatives, (\d{1,9}) False positives"),
    re.compile(rf"Average duty cycle: {FIGURE}"),
)

SYSTEM_KEYS = (
    "Submitter",
    "Division",
    "Status",
    "Board Name",
    "Board Memory capacity (not including SoC, processor, or accelerator)",
    "Board Memory type",
    "Board storage capacity",
    "Board storage type",
    "SoC Name",
    "SoC Memory capacity (not including processor or accelerator)",
    "SoC Memory type",
    "SoC storage capacity",
    "SoC storage type",
    "Processor(s) Name",
    "Processor(s) Frequencies",
    "Processor memory type and capacity",
    "Processor storage type and capacity",
    "Accelerator",
    "Accelerator(s) Frequencies",
    "Accelerator memory type and capacity",
    "Accelerator storage type and capacity",
    "Hardware Notes",
    "Inference Framework",
    "Software Libraries",
    "Operating System",
    "Other Software Stack",
    "Software Notes",
    "Quantization Method",
    "Training framework (open division)",
    "ML Model Compiler(s)",
    "General Compiler(s)",
    "Other Software",
    "Training and Quantization Notes",
)
FORBIDDEN_KEY = "system_type"  # any value of it ends the official checker
NEEDED_KEYS = ("Submitter", "Division", "Status")  # without which the official checker ends; the rest is reported
