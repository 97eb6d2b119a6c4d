"""What a finished run left behind, as a page for people."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from nas import __version__
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, NasError, RunFolderError
from nas.files import read_json, write_bytes
from nas.pipeline.cost import ModelCost, find_cost
from nas.pipeline.published import published_options
from nas.pipeline.request import SearchOptions
from nas.report.memory_plot import render_memory_plot
from nas.report.page import Card, ClassRow, Page, Picture, classes_of, layers_of, render_page
from nas.report.published_plot import KnownNetwork, plot_published
from nas.report.search_plot import plot_search
from nas.space import load_space
from nas.space.lookup import list_files
from nas.tasks import get_task
from nas.units import format_figures, format_gain, format_latency, format_ops, format_score, format_seconds

FILE = "report.html"
FEW = 3  # candidates, at least, that are worth a picture of their course


def write_page(run: Path, out: Path | None = None) -> Path:
    """Write the page of a finished search or training; by default ``report.html`` in its folder.

    Raises:
        RunFolderError: no run there, or one that is not finished.
    """
    folder = RunFolder.open(run)
    with folder.result() as report:
        page = render_page(_page(folder, report))
    path = out or run / FILE
    write_bytes(path, page)
    return path


def embedded(page: Path) -> str:
    """A page as a cell of a notebook shows it."""
    return f'<iframe srcdoc="{html.escape(page.read_text())}" style="width: 100%; height: 800px; border: 0"></iframe>'


def _page(run: RunFolder, report: dict[str, Any]) -> Page:
    winner, data, record = report["winner"], report["data"], run.record()
    proof = read_json(run.winner / "validation.json", RunFolderError)
    cost = find_cost(str(run.path))
    assert isinstance(cost, ModelCost)
    published = _published(report)
    kind = "SYNTHETIC DATA, made on the spot: these scores say nothing about real use." if data["synthetic"] else ""
    return Page(
        title=f"{report['task']}: a network of {report['space']}",
        summary=winner["summary"],
        warning=kind,
        cards=_cards(report),
        pictures=_pictures(run, report, cost, published),
        layers=layers_of(cost.report),
        facts=_facts(report, record),
        command=_command(record),
        footer=f"mcu-nas {__version__}; costs are predicted before training and measured on the exported file.",
        classes=_classes(data["classes"], proof.get("confusion")),
        published=published,
    )


def _cards(report: dict[str, Any]) -> list[Card]:
    winner, budget, used = report["winner"], report["budget"], report["budget_used"]
    metric, measured = winner["metric"], winner["measured"]
    cards = [
        Card(
            "INT8 accuracy" if metric == "accuracy" else "INT8 ROC AUC",
            format_score(metric, winner["int8_score"]),
            f"{winner['int8_total']:,} test samples; float {format_score(metric, winner['float_score'])}",
        )
    ]
    for name, label, found in (("flash_bytes", "flash", measured), ("sram_bytes", "SRAM", measured)):
        bound = budget[name]
        note = "measured; no budget" if bound is None else f"measured; of {format_figures(bound / 1024)} KB"
        cards.append(Card(label, f"{found[name] / 1024:.1f} KB", note, used.get(name)))
    bound = "no budget" if budget["ops"] is None else f"of {format_ops(budget['ops'])}"
    cards.append(Card("ops", format_ops(winner["predicted"]["ops"]), bound, used.get("ops")))
    if latency := winner.get("latency_ms"):
        note = f"modelled: {format_figures(latency['low'])} to {format_figures(latency['high'])} ms"
        cards.append(Card("latency", f"{format_figures(latency['modelled'])} ms", note, used.get("latency_us")))
    return cards


def _pictures(
    run: RunFolder, report: dict[str, Any], cost: ModelCost, published: Sequence[KnownNetwork]
) -> list[Picture]:
    shown, metric = list[Picture](), report["winner"]["metric"]
    for name, title, note in (
        ("front.svg", "What the search found", "Scores are of the search: short trainings or shared weights."),
        ("descent.svg", "The descent", "Losses, expected use of the budget, and what every choice came to."),
    ):
        if (path := run.path / name).is_file():
            shown.append(Picture(title, path.read_bytes(), note))
    candidates = run.candidates()
    if len(candidates) >= FEW and not (run.path / "descent.svg").is_file():
        picture = plot_search(candidates, metric)
        shown.append(Picture("The course of the search", picture, "Scores on the validation split."))
    if any(each.score for each in published):
        note = (
            "Networks fully trained, their INT8 files on test data; the published ones on larger data sets: "
            f"this run knows {report['data']['train']:,} training samples."
        )
        own = [_own(front["winner"]) for front in report.get("front", [report])]
        shown.append(Picture("Beside published networks", plot_published(own, published, metric), note))
    plot = render_memory_plot(cost.report, report["winner"]["summary"], "svg")
    note = (
        "The plan that stands in the file, or TensorFlow Lite Micro's own; each box is a buffer, as long as it lives."
    )
    return [*shown, Picture("SRAM over time", plot, note)]


def _facts(report: dict[str, Any], record: dict[str, Any]) -> list[tuple[str, str]]:
    search, data, winner, pair = (
        report["search"],
        report["data"],
        report["winner"],
        report["parity"]["pairs"]["torch/tflm"],
    )
    facts = [
        ("data", f"{data['name']}: {data['train']:,} train, {data['validation']:,} validation, {data['test']:,} test"),
        ("training", f"{search['winner_epochs']} epochs in {format_seconds(winner['train_seconds'])}"),
        ("float and INT8", f"signal to noise {pair['sqnr_db'] or float('inf'):.1f} dB between torch and TFLM"),
        ("INT8 in LiteRT and TFLM", " and ".join(format_score(winner["metric"], winner[key]) for key in SCORES)),
        ("SRAM", f"{winner['measured']['activation_bytes']:,} B of it activations"),
        ("seed", str(report["seed"])),
        ("all of it", format_seconds(search["seconds"])),
    ]
    if search["candidates"]:
        found = f"{search['candidates']} candidates by {report['engine']} in {format_seconds(search['search_seconds'])}"
        facts.insert(1, ("search", f"{found}, {search['tme']} trained-model equivalents"))
    if even := report.get("even"):
        facts.append(("against even networks", format_gain(winner["metric"], even)))
    if smallest := report.get("smallest"):
        facts.append(
            ("the smallest within noise", f"{smallest['summary']}, {format_ops(smallest['predicted']['ops'])} ops")
        )
    if latency := winner.get("latency_ms"):
        facts.append(("latency", f"{format_latency(latency)}, modelled"))
    versions = ", ".join(f"{name} {version}" for name, version in record.get("packages", {}).items())
    return [*facts, ("versions", versions)] if versions else facts


SCORES = ("int8_score", "int8_score_tflm")


def _classes(names: list[str], confusion: dict[str, list[list[int]]] | None) -> list[ClassRow]:
    return classes_of(names, confusion["float"], confusion["int8"]) if confusion else []


def _own(winner: dict[str, Any]) -> KnownNetwork:
    measured, name = winner["measured"], format_score(winner["metric"], winner["int8_score"])
    costs = measured["flash_bytes"], measured["sram_bytes"], winner["predicted"]["ops"]
    return KnownNetwork(name, *costs, winner["int8_score"])


def _published(report: dict[str, Any]) -> list[KnownNetwork]:
    """Those of the run's task, with its classes and real data; what is nobody else's is held against nobody."""
    data = report["data"]
    try:
        known = list(get_task(report["task"]).classes) == data["classes"]
    except NasError:
        known = False
    if data["synthetic"] or not known:
        return []
    from nas.cost.model import cost

    found = dict[str, KnownNetwork]()  # some are points of two spaces
    for name in list_files("search_spaces"):
        try:
            space = load_space(name)
        except InputError:  # of the user's, and not of this run
            continue
        if space.task == report["task"]:
            for point in space.spec.point:
                costs = cost(space.points[point.name].graph)
                known = KnownNetwork(point.name, costs.flash_bytes, costs.sram_bytes, costs.ops, point.score)
                found.setdefault(point.name, known)
    return [*found.values()]


def _command(record: dict[str, Any]) -> str:
    """What was typed, as far as it is no default, and is anybody else's business."""
    if "request" not in record:
        asked = published_options(record)
        flags = {name: asked.get(name) for name in ("epochs", "seed", "data", "teacher", "qat")}
        return shlex.join(["nas", "train", str(asked.get("train", "RUN/")), *_flags({**flags, **record["settings"]})])
    usual = {field.name: field.default for field in fields(SearchOptions)}
    asked = published_options(record["request"])
    given = {key: value for key, value in asked.items() if key == "task" or value != usual.get(key)}
    settings = given.pop("settings", {})
    return shlex.join(["nas", "search", *_flags({**given, **settings})])


def _flags(options: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None or value in ([], ()):
            continue
        if isinstance(value, bool):
            words += [flag if value else flag.replace("--", "--no-", 1)] if value or name == "qat" else []
        elif isinstance(value, list | tuple):
            words += (
                [flag, ", ".join(value)] if name == "keywords" else [part for each in value for part in (flag, each)]
            )
        else:
            words += [flag, str(value)]
    return words
