"""``nas search``: the main job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli import completion
from nas.cli.plan import KERNELS_HELP, PLAN_HELP
from nas.cli.task_options import Clip, Coefficients, Hop, Input, Keywords, Mels, Window, split_keywords
from nas.cli.terminal import say
from nas.cli.training_options import Qat, Recipe, Teacher, Track
from nas.defaults import CANDIDATE_EPOCHS, ONE_SHOT_EPOCHS, SUPERNET_EPOCHS
from nas.plan.placement import DEFAULT_KERNELS, DEFAULT_PLAN

if TYPE_CHECKING:
    from nas.pipeline.request import SearchOptions

GUIDE = """what is the network for, and where shall it run?
  --task kws (keywords), vww (persons), ic (images), ad (machines that sound unusual); image, audio: your own classes
  --mcu stm32f446re (nas mcus lists them), or --flash 256KB, --sram 64KB, --ops 30M
  --data FOLDER; without it, data are made to try things out
try: nas search --task kws --flash 256KB; all flags: nas search --help"""


def search(
    context: typer.Context,
    task: Annotated[
        str | None,
        typer.Option(
            help="What the network is for: ad, ic, ic2, kws, vww; image or audio for data of your own.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="Search space, by name or file. Default: that of the task, say kws_micronet.",
            autocompletion=completion.spaces,
        ),
    ] = None,
    mcu: Annotated[
        str | None,
        typer.Option(
            help="Take flash and SRAM from a microcontroller, less what its file reserves.",
            autocompletion=completion.mcus,
        ),
    ] = None,
    flash: Annotated[str | None, typer.Option(help="Most bytes of the .tflite file, for example 256KB.")] = None,
    sram: Annotated[
        str | None, typer.Option(help="Most bytes of the TensorFlow Lite Micro arena, for example 64KB.")
    ] = None,
    ops: Annotated[str | None, typer.Option(help="Most operations of one inference, for example 30M.")] = None,
    latency: Annotated[
        str | None, typer.Option(help="Longest inference, for example 200ms; needs --mcu with latency data.")
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(help="Look for the cheapest network of at least this accuracy on validation, for example 90%."),
    ] = None,
    auc: Annotated[str | None, typer.Option(help="The same for a ROC AUC, in ad: 0.86.")] = None,
    minimize: Annotated[
        str | None,
        typer.Option(help="Cost that --accuracy or --auc keeps low: ops, flash, sram or latency. Default: ops."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="dnas, evolution, tpe, nsga2, random, even or published. Default: dnas; evolution in spaces with a "
            "choice of kinds; tpe for ad.",
            autocompletion=completion.engines,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(help="Wall time of the whole job. Default: 1h, 5m on builtin data, none with --trials."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Most candidates to score, by all machines together.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of training that a candidate is scored by; with dnas or --inherit, of the shared weights. "
            f"Default: {CANDIDATE_EPOCHS}, for ad those of the winner; {SUPERNET_EPOCHS} with dnas, "
            f"{ONE_SHOT_EPOCHS} with --inherit."
        ),
    ] = None,
    train_epochs: Annotated[
        int | None, typer.Option(help="Epochs of the winner's full training. Default: the recipe's.")
    ] = None,
    recipe: Recipe = None,
    teacher: Teacher = None,
    qat: Qat = None,
    normal_only: Annotated[
        bool,
        typer.Option("--normal-only", help="Compare networks by the normal clips of validation alone; for ad."),
    ] = False,
    inherit: Annotated[
        bool,
        typer.Option(
            "--inherit", help="Train weights that all candidates share, once, and score candidates with them."
        ),
    ] = False,
    pareto: Annotated[
        int,
        typer.Option(help="Return up to 16 networks from one search: for the budget, its half, its quarter..."),
    ] = 1,
    start: Annotated[
        list[str] | None,
        typer.Option(
            help="Network to score first: a run, an arch.json or SPACE:POINT; may be repeated.",
            autocompletion=completion.networks,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Share the search: sqlite:///FILE, a FILE.journal, postgresql://..., mysql://... or grpc://HOST:PORT. "
            "The same command on another machine joins."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder in the official layout, or of a folder for each class, or builtin. "
            "Default: $NAS_DATA/TASK, then builtin."
        ),
    ] = None,
    input_: Input = None,
    keywords: Keywords = None,
    clip: Clip = None,
    window: Window = None,
    hop: Hop = None,
    mels: Mels = None,
    coefficients: Coefficients = None,
    seed: Annotated[int, typer.Option(help="Same seed, same trials: same result on the same machine.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or one GPU as cuda:1.")] = "auto",
    devices: Annotated[int, typer.Option(help="GPUs that share each training; with --device cpu, processes.")] = 1,
    precision: Annotated[str, typer.Option(help="Arithmetic of training: 32, bf16 (mixed) or auto (32).")] = "auto",
    plan: Annotated[str, typer.Option(help=PLAN_HELP)] = DEFAULT_PLAN,
    kernels: Annotated[str, typer.Option(help=KERNELS_HELP)] = DEFAULT_KERNELS,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: exported/TASK-TIME.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run; takes no other flags.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    track: Track = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Find, train, export and prove an INT8 network within a budget.

    Example: nas search --task kws --flash 256KB --sram 128KB --data speech_commands/

    Your own keywords: nas search --task kws --flash 128KB --keywords "lamp on, lamp off"

    Your own sounds: nas search --task audio --flash 128KB --data sounds/

    Three networks from one search: nas search --task kws --flash 256KB --pareto 3

    As small as 90% accuracy allows: nas search --task kws --accuracy 90%

    Two machines, one search: nas search --task kws --ops 6M --engine tpe --trials 40 --storage postgresql://HOST/nas
    """
    from nas.cli.console import ConsoleReporter
    from nas.errors import InputError
    from nas.pipeline.request import SearchOptions, plan_search
    from nas.tasks import TaskSettings

    if resume is not None:
        _require_alone(context)
    elif task is None:
        raise InputError(
            "what is the network for? try: nas search --task kws --flash 256KB" if _given(context) else GUIDE
        )
    options = SearchOptions(
        task=task or "",
        space=space,
        mcu=mcu,
        flash=flash,
        sram=sram,
        ops=ops,
        latency=latency,
        engine=engine,
        time=time,
        trials=trials,
        epochs=epochs,
        train_epochs=train_epochs,
        data=data,
        seed=seed,
        device=device,
        plan=plan,
        kernels=kernels,
        inherit=inherit,
        pareto=pareto,
        storage=storage,
        start=tuple(start or ()),
        precision=precision,
        devices=devices,
        recipe=recipe,
        teacher=teacher,
        qat=qat,
        normal_only=normal_only,
        accuracy=accuracy,
        auc=auc,
        minimize=minimize,
        settings=TaskSettings(input_, split_keywords(keywords), clip, window, hop, mels, coefficients),
    )
    if dry_run:
        _show_plan(options, as_json)
        return
    asked = None if resume else plan_search(options)  # an impossible request is refused before torch is imported
    with ConsoleReporter() as console:
        from nas.pipeline.search import resume_search, start_search
        from nas.pipeline.tracking import tracked

        reporter = tracked(console, track)
        if asked is None:
            assert resume is not None
            result = resume_search(resume, reporter, storage)
        else:
            result = start_search(asked, out, reporter)
    _show_result(result.report, as_json)


def _require_alone(context: typer.Context) -> None:
    """A resumed run asks for what it was started with; another flag beside ``--resume`` would be ignored."""
    from nas.errors import InputError

    allowed = {"resume", "as_json", "storage", "track"}
    if others := sorted(_given(context) - allowed):
        flags = ", ".join("--" + name.replace("_", "-") for name in others)
        raise InputError(f"--resume goes on with what the run was asked for: leave out {flags}")


def _given(context: typer.Context) -> set[str]:
    """Flags that were typed."""
    return {name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}


def _show_plan(options: SearchOptions, as_json: bool) -> None:
    from nas.pipeline.dry_run import describe_plan

    plan = describe_plan(options)
    if as_json:
        typer.echo(json.dumps(plan))
        return
    for line in plan["text"]:
        say(line)


def _show_result(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report))
        return
    from nas.cli.tables import result_table, show

    show(result_table(report))
