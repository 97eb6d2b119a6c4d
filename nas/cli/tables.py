"""Results as tables."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from nas.cli.text_console import TextConsole
from nas.units import (
    format_bytes,
    format_difference,
    format_gain,
    format_latency,
    format_ops,
    format_score,
    format_seconds,
    format_speed,
)

EVALUATION_FILES = "FOLDER_OF_EVALUATION_FILES"
OTHER_DATA = dict.fromkeys(("audio", "image"), "FOLDER_OF_CLASSES")  # of tasks without files of a benchmark
LOG_WIDTH = 100  # columns where there is no terminal to ask


def show(result: RenderableType) -> None:
    """Print a result on stdout."""
    console = TextConsole()
    console.width = console.width if console.is_terminal else LOG_WIDTH
    console.print(result)


def result_table(report: dict[str, Any]) -> Group:
    """The end of a search or a training: predicted, measured, budget; float and INT8; what to do next."""
    search, run = report["search"], report["run"]
    winners = report.get("front", [report])
    files = [f"{run}/{each['winner']['folder']}/model.tflite" for each in winners]
    return Group(
        *(_winner(report | each) for each in winners),
        *([format_gain(report["winner"]["metric"], report["even"])] if report.get("even") else []),
        *([_smallest(report)] if report.get("smallest") else []),
        *([_target(report["target"])] if report.get("target") else []),
        f"{_found(search)}trained for {search['winner_epochs']} epochs in "
        f"{format_seconds(sum(each['winner']['train_seconds'] for each in winners))}, "
        f"{format_seconds(search['seconds'])} in all",
        f"files: {', '.join(files)} and beside {'it' if len(files) == 1 else 'them'}",
        f"to look at: {run}/report.html",
        f"next: nas validate {run} --task {report['task']} --data {OTHER_DATA.get(report['task'], EVALUATION_FILES)}",
    )


def _winner(report: dict[str, Any]) -> Group:
    winner, data = report["winner"], report["data"]
    title = f"{report['task']} winner of {report['space']}: {winner['summary']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "predicted", "measured", "budget", "used"):
        table.add_column(column, justify="left" if not column else "right")
    for name, label, show in (
        ("flash_bytes", "flash", format_bytes),
        ("sram_bytes", "SRAM", format_bytes),
        ("ops", "ops", format_ops),
    ):
        bound = report["budget"][name]
        table.add_row(
            label,
            show(winner["predicted"][name]),
            show(winner["measured"].get(name, winner["predicted"][name])),
            "-" if bound is None else show(bound),
            f"{report['budget_used'][name]:.0%}" if name in report["budget_used"] else "-",
        )
    if winner.get("latency_ms"):
        bound, used = report["budget"]["latency_ms"], report["budget_used"].get("latency_us")
        table.add_row(
            "latency, modelled",
            format_latency(winner["latency_ms"]),
            "",
            "-" if bound is None else f"{bound:g} ms",
            "-" if used is None else f"{used:.0%}",
        )
    scores = Table(title=_score_title(data), title_justify="left", box=SIMPLE_HEAD)
    for column in (winner["metric"], "float", "INT8 (LiteRT)", "INT8 (TFLM)"):
        scores.add_column(column, justify="right")
    scores.add_row(
        f"{winner['int8_total']:,} test {'samples' if winner['metric'] == 'accuracy' else 'clips'}",
        *(format_score(winner["metric"], winner[key]) for key in ("float_score", "int8_score", "int8_score_tflm")),
    )
    lines = [_parity(report["parity"], winner["metric"])]
    if speed := format_speed(winner["train_samples_per_second"], winner["train_input_share"]):
        lines.append(f"trained at {speed}")
    return Group(table, scores, *lines)


def _parity(parity: dict[str, Any], metric: str) -> str:
    pair, samples = parity["pairs"]["torch/tflm"], parity["samples"]
    sqnr = f"SQNR {pair['sqnr_db'] or float('inf'):.1f} dB"
    if metric != "accuracy":
        return f"parity: torch and TFLM on {samples} samples, {sqnr}"
    if not pair["decided"]:
        return f"parity: torch is confident of none of {samples} samples, so class agreement is not known; {sqnr}"
    agree = f"torch and TFLM agree on {pair['decided_agreement']:.0%} of {pair['decided']} confident samples"
    return f"parity: {agree} (of {samples}), {sqnr}"


def _smallest(report: dict[str, Any]) -> str:
    smallest, cost = report["smallest"], report["smallest"]["predicted"]
    if smallest["gain"] == smallest["low"] == smallest["high"] == 0:
        return "smaller: at half of the budget it is worse by more than noise"
    return (
        f"smaller, within noise of it: {format_difference(report['winner']['metric'], smallest)} after "
        f"{smallest['epochs']} epochs with flash {format_bytes(cost['flash_bytes'])}, SRAM "
        f"{format_bytes(cost['sram_bytes'])}, {format_ops(cost['ops'])} ops: nas train {report['run']}/smallest.json"
    )


def _target(target: dict[str, Any]) -> str:
    steps = ", ".join(
        f"{format_score(target['metric'], each['score'])} with {format_ops(each['cost']['ops'])} ops"
        for each in target["steps"]
    )
    asked, reached = (format_score(target["metric"], target[key]) for key in ("score", "reached"))
    return f"{asked} asked for, {reached} on validation with the fewest {target['minimize']}; trained: {steps}"


def _found(search: dict[str, Any]) -> str:
    if not search["candidates"]:
        return ""
    seconds = format_seconds(search["search_seconds"])
    return f"{search['candidates']} candidates in {seconds} ({search['tme']} TME), winner "


def _score_title(data: dict[str, Any]) -> str:
    kind = "SYNTHETIC DATA, says nothing about real use: " if data["synthetic"] else ""
    return f"{kind}{data['name']}: {data['train']:,} train, {data['validation']:,} validation, {data['test']:,} test"
