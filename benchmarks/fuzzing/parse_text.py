"""Flags and TOML files: the grammars that people write by hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files
from fuzzing.parser import ROOT, Parser, every, only, single

# Text of flags ------------------------------------------------------------------------------------------------------


def units() -> Parser:
    """Sizes, op counts, durations, and other flags that hold a grammar of their own."""
    from nas import units as unit
    from nas.ablation.study import parse_factor, parse_option
    from nas.errors import InputError
    from nas.plan.placement import parse_planning
    from nas.tasks import TaskSettings, get_task
    from nas.tasks.keywords import parse_keywords

    pieces = (
        "0",
        "1",
        "256",
        "1_000",
        "-3",
        "+5",
        ".5",
        "1.5",
        "1e3",
        "9" * 400,
        "9" * 5000,
        " ",
        "\t",
        "\n",
        "٣",
        "²",
    )
    pieces += (
        "KB",
        "kB",
        "KiB",
        "MB",
        "B",
        "k",
        "M",
        "G",
        "s",
        "ms",
        "us",
        "m",
        "h",
        "d",
        "min",
        "inf",
        "nan",
        "x",
        "=",
    )
    pieces += (
        ",",
        "engine=",
        "flash=64KB",
        "dnas",
        "overlap",
        "cmsis-nn",
        "64x64x1",
        "yes",
        "'",
        "\x00",
        "\ud800",
        "é",
    )

    def make(rng: Random, seeds: list[Files]) -> Files:
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(5)))
        if rng.random() < 0.2:
            text = mutation.mutate_bytes(rng, text.encode(errors="replace"), []).decode(errors="surrogateescape")
        return {"text": text.encode(errors="surrogatepass")}

    def shown(parse: Callable[[str], Any], show: Callable[[Any], str], text: str) -> None:
        show(parse(text))

    def read(folder: Path) -> None:
        text = (folder / "text").read_bytes().decode(errors="surrogateescape")
        each = text.split(",")
        asked = [TaskSettings(clip=text), TaskSettings(window=text), TaskSettings(input=text)]
        every(
            lambda: shown(unit.parse_bytes, unit.format_bytes, text),
            lambda: shown(unit.parse_ops, unit.format_ops, text),
            lambda: shown(unit.parse_seconds, unit.format_seconds, text),
            lambda: shown(unit.parse_milliseconds, unit.format_figures, text),
            lambda: parse_factor(text),
            lambda: parse_option(text),
            lambda: parse_planning(text, text),
            lambda: parse_keywords(each),
            lambda: asked[2].input_shape,
            lambda: get_task(text),
            *(partial(get_task, "audio", None, one) for one in asked if InputError),
        )

    seeds: list[Files] = [{"text": one} for one in (b"256KB", b"30M", b"45m", b"200ms", b"64x64x1", b"engine=dnas,tpe")]
    return Parser(seeds, make, read)


# TOML ---------------------------------------------------------------------------------------------------------------


def _toml(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((ROOT / folder).glob("*.toml"))}


def spaces() -> Parser:
    """Search spaces: read, drawn from, and now and then priced as ``nas cost SPACE`` does."""
    from nas.pipeline.cost import find_cost
    from nas.space import load_space

    def read(folder: Path) -> None:
        path = only(folder)
        space = load_space(path)
        _ = space.size, space.decisions
        for network in (space.smallest(), space.largest(), space.sample(Random(0))):
            _ = network.graph, network.digest, network.summary()
        if zlib.crc32(path.read_bytes()) % 64 == 0:
            find_cost(str(path))

    return Parser(*single(_toml("search_spaces"), mutation.mutate_toml), read)


def constraints() -> Parser:
    """Microcontrollers, profiles and cores."""
    from nas.budget import load_mcu, make_budget
    from nas.cost.instructions import load_core, modelled_instructions
    from nas.space.lookup import find_architecture

    graph = find_architecture(str(ROOT / "exported/reference/kws-64kb")).graph
    modelled_instructions(graph)

    def read(folder: Path) -> None:
        from nas.cost.instructions import instructions

        path = str(only(folder))
        every(
            lambda: (load_mcu(path).limits().to_json(), make_budget(path)),
            lambda: instructions(graph, load_core.__wrapped__(path)),
        )

    return Parser(*single(_toml("constraints") | _toml("constraints/cores"), mutation.mutate_toml), read)


def studies() -> Parser:
    """Studies: read, and every arm formed."""
    from nas.pipeline.study_plan import load_study

    def read(folder: Path) -> None:
        load_study(str(only(folder))).arms()

    return Parser(*single(_toml("search_spaces/studies"), mutation.mutate_toml), read)


def recipes() -> Parser:
    """Recipes of training."""
    from nas.tasks import get_task
    from nas.training.recipe import load_recipe

    task = get_task("kws")
    return Parser(
        *single(_toml("search_spaces/recipes"), mutation.mutate_toml),
        lambda folder: load_recipe(task, str(only(folder))),
    )
