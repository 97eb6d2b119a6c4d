"""``nas ablate``: which factors of a search matter."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import completion
from nas.cli.terminal import say
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.ablation.study import Study
    from nas.pipeline.study_plan import Cell


def ablate(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Study: a name such as engines, sram_model or latency_proxy, or a TOML file.",
            autocompletion=completion.studies,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Without a study: what the networks are for, such as kws.", autocompletion=completion.tasks),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACTOR=A,B",
            help="Without a study: an option of nas search and its levels, such as engine=dnas,tpe; also "
            "sram-model=exact,estimate, flash-model=exact,estimate and augmentation=on,off. May be repeated.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Option of every run, such as flash=64KB; may be repeated."),
    ] = None,
    one_at_a_time: Annotated[
        bool,
        typer.Option(
            "--one-at-a-time", help="Not every combination, but each level with the first ones of the others."
        ),
    ] = False,
    seeds: Annotated[int | None, typer.Option(help="Runs of each arm. Default: 3.")] = None,
    tme: Annotated[
        float | None,
        typer.Option(help="What every search may cost, in trainings of a winner; sets its trials or epochs."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data set of every run, as with nas search.")] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time, each in a process of its own.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of the study. Default: exported/ablate-NAME-TIME.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the study of this folder, or help with it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs, and start none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Compare searches: every level of every factor, several seeds, equal cost; a table, a plot, and what it says.

    Example: nas ablate engines --data speech_commands/

    Of your own: nas ablate --task kws --vary engine=dnas,random --vary flash=64KB,128KB --set train-epochs=20

    Several processes or machines may work on one folder: nas ablate --resume exported/ablate-engines/
    """
    from nas.cli.console import ConsoleReporter
    from nas.pipeline.ablate import default_folder, resume_study, run_study
    from nas.pipeline.study_plan import plan_study

    if jobs < 1:
        raise InputError(f"--jobs {jobs} must be at least 1")
    if resume is not None:
        if study or task or vary or set_ or out or data or seeds or tme or dry_run:
            raise InputError("--resume goes on with a study as it was started: leave out what says which")
        asked, cells = resume_study(resume)
        folder = resume
    else:
        asked = _study(study, task, vary or [], set_ or [], one_at_a_time, seeds, tme, data)
        folder = out or default_folder(asked)
        if dry_run:
            with tempfile.TemporaryDirectory() as scratch:
                _show(asked, plan_study(asked, Path(scratch)), as_json)
            return
        cells = plan_study(asked, folder)
    with ConsoleReporter() as reporter:
        reporter.note(f"{asked.name}: {len(cells)} runs, {jobs} at a time, in {folder}")
        result = run_study(asked, cells, folder, jobs, reporter)
    if as_json:
        summary = json.loads((folder / "summary.json").read_text())
        typer.echo(json.dumps({"folder": str(folder), "rows": result.rows, **summary}))
        return
    for line in result.text.splitlines():
        say(line)
    say(f"table: {folder / 'results.csv'}, picture: {folder / 'study.svg'}")


def _study(
    name: str | None,
    task: str | None,
    vary: list[str],
    set_: list[str],
    one_at_a_time: bool,
    seeds: int | None,
    tme: float | None,
    data: str | None,
) -> Study:
    """What was asked for."""
    from nas.ablation.study import Design, parse_factor, parse_option
    from nas.pipeline.study_plan import check_study, load_study

    if (name is None) == (not vary):
        raise InputError(
            "what is to be compared? try: nas ablate engines, or nas ablate --task kws --vary engine=dnas,tpe"
        )
    options = dict(map(parse_option, set_))
    if data is not None:
        options["data"] = data
    if task is not None:
        options["task"] = task
    if name is None:
        given = {"name": "study", "factors": dict(map(parse_factor, vary)), "options": options, "tme": tme}
        design = Design.ONE_AT_A_TIME if one_at_a_time else Design.FULL
        return check_study({**given, "design": design, "seeds": 3 if seeds is None else seeds})
    found = load_study(name)
    changed = {
        **found.model_dump(by_alias=True),
        "options": {**found.options, **options},
        "seeds": found.seeds if seeds is None else seeds,
        "tme": found.tme if tme is None else tme,
    }
    if one_at_a_time:
        changed["design"] = Design.ONE_AT_A_TIME
    return check_study(changed)


def _show(study: Study, cells: list[Cell], as_json: bool) -> None:
    if as_json:
        runs = [{"arm": cell.arm.name, "seed": cell.seed, "options": cell.options} for cell in cells]
        typer.echo(json.dumps({"study": study.name, "runs": runs}))
        return
    for cell in cells:
        if cell.seed == 0:
            shown = ", ".join(f"{name}={value}" for name, value in cell.options.items() if name != "seed")
            say(f"{cell.arm.name}: {shown}")
    say(f"{len(cells)} runs: {len(cells) // study.seeds} arms, {study.seeds} seeds")
