"""What a study leaves behind: a table, a text, a picture, a page."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas import __version__
from nas.ablation.statistics import Effect, Row, effects
from nas.ablation.study import Study
from nas.ablation.text import SCORE, means, sentence, summary
from nas.files import write_bytes, write_json
from nas.report.page import Picture, StudyPage, render_page
from nas.report.study_plot import plot_study

METRICS = (SCORE, "sram_bytes", "flash_bytes", "ops", "latency_ms", "tme")  # that effects are told of


def write_study(study: Study, rows: Sequence[Row], folder: Path) -> str:
    """``results.csv``, ``summary.md``, ``summary.json``, ``study.svg`` and ``report.html``; gives the text.

    Where pyarrow is installed, ``results.parquet`` too, whose columns have types.
    """
    text, picture = summary(study, study.arms(), rows), plot_study(study, study.arms(), rows)
    told = [effect for metric in METRICS for effect in _effects(study, rows, metric)]
    columns = ["arm", *study.factors, *(key for key in rows[0] if key not in {"arm", "levels", *study.factors})]
    table = [{name: row[name] for name in columns} for row in rows]
    write_bytes(folder / "results.csv", _csv(columns, table))
    with contextlib.suppress(ImportError):
        write_bytes(folder / "results.parquet", _parquet(table))
    write_bytes(folder / "summary.md", text.encode())
    write_bytes(folder / "study.svg", picture)
    write_bytes(folder / "report.html", render_page(_page(study, rows, picture, folder)))
    write_json(
        folder / "summary.json", {"study": study.name, "runs": len(rows), "effects": list(map(_described, told))}
    )
    return text


def _effects(study: Study, rows: Sequence[Row], metric: str) -> list[Effect]:
    return effects(rows, {factor: list(levels) for factor, levels in study.factors.items()}, metric)


def _described(effect: Effect) -> dict[str, Any]:
    """What of it nobody knows, as of one seed, is null."""
    unsure = {"low": effect.difference.low, "high": effect.difference.high, "p": effect.p}
    return {
        "factor": effect.factor,
        "level": effect.level,
        "base": effect.base,
        "metric": effect.metric,
        "difference": effect.difference.mean,
        **{name: None if math.isnan(value) else value for name, value in unsure.items()},
        "significant": effect.significant,
    }


def _csv(columns: Sequence[str], table: Sequence[Row]) -> bytes:
    """A line for each run, a column for each factor and each figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def _parquet(table: Sequence[Row]) -> bytes:
    """The same."""
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(table)), file)
    return file.getvalue()


def _page(study: Study, rows: Sequence[Row], picture: bytes, folder: Path) -> StudyPage:
    found = [sentence(each, rows[0]["metric"]) for each in _effects(study, rows, SCORE)]
    head, *table = means(study.arms(), rows)
    synthetic = "SYNTHETIC DATA, made on the spot: these scores say nothing about real use."
    return StudyPage(
        study.name,
        study.description,
        synthetic if any(row["synthetic"] for row in rows) else "",
        [each.replace("**", "").replace("`", "") for each in found],
        Picture("Every arm", picture, "A dot for each run, red where it does not fit; the mean and its 95 % interval."),
        head,
        table,
        f"nas ablate --resume {folder.name}",
        f"mcu-nas {__version__}; every run has its own report in runs/.",
    )
