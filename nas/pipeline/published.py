"""Select what may be published of a run. Paths and other facts about the user's machine stay private.

Each record has a list of keys that may be published. A key that is added later stays private until it is listed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SEARCH = {
    "schema", "nas", "python", "packages", "budget", "recipe", "trainable_ops", "search_epochs", "final_epochs",
    "winner_epochs",
}  # fmt: skip
TRAINING = {"schema", "nas", "train", "epochs", "seed", "data", "precision", "recipe", "teacher", "qat", "settings"}
OPTIONS = {
    "task", "space", "mcu", "flash", "sram", "ops", "latency", "engine", "time", "trials", "epochs", "train_epochs",
    "data", "seed", "plan", "kernels", "inherit", "pareto", "start", "precision", "devices", "recipe", "teacher", "qat",
    "settings", "flash_model", "normal_only", "accuracy", "auc", "minimize",
}  # fmt: skip
SPACE = {"name", "sha256"}
DATA = {"name", "synthetic", "fingerprint", "classes", "train", "validation", "test"}
PROOF = {
    "arch", "summary", "predicted", "measured", "latency_ms", "metric", "float_score", "int8_score", "int8_correct",
    "int8_total", "int8_score_tflm", "float_validation_score", "float_validation_auc", "fine_tuning", "train_seconds",
    "parity", "confusion",
}  # fmt: skip


def published_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return the publishable part of a ``run.json``, of a search or a training."""
    if "request" not in record:
        return published_options(_only(record, TRAINING))
    return {
        **_only(record, SEARCH),
        "request": published_options(record["request"]),
        "space": _only(record["space"], SPACE),
        "data": _only(record.get("data", {}), DATA),
    }


def published_proof(proof: dict[str, Any]) -> dict[str, Any]:
    """Return the publishable part of a winner's ``validation.json``."""
    return {**_only(proof, PROOF), "data": _only(proof["data"], DATA)}


def published_options(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command. Absolute paths are shortened to their last component."""
    known = _only(asked, OPTIONS | TRAINING)
    return {name: _without_place(value) for name, value in known.items()}


def _only(record: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key in keys}


def _without_place(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_place(each) for each in value]
    if isinstance(value, str) and (value.startswith(("/", "~")) or ".." in Path(value).parts):
        return Path(value).name
    return value
