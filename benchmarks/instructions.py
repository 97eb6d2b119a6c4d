"""Is op count a latency proxy? Networks drawn from each space, their instructions counted on an emulated core.

    pip install 'mcu-nas[emulation]'
    NAS_COMPILER=gcc python benchmarks/instructions.py --core cortex-m4 --networks 10 --plot ops.svg

Fits the loops of ``nas.cost.instructions`` to every second network, layer by layer, and holds the fit against the
others; beside it the line through ops of each space. Counts stand in ``--out`` one by one; the same command goes on
where it was stopped. ``--fit`` writes what stands in ``constraints/cores``. ``kws_ds_cnn+1`` is that space with
the second width of each list larger by 1, the third by 2, the fourth by 3, the fifth as it is, and so on: not multiples
of 4 therefore, which the kernels take best.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nas.cost.instructions import LOOPS, CoreSpec, Fits, instructions
from nas.cost.ops import ops
from nas.export.c.program import program_of
from nas.export.c.synthetic import synthetic_source
from nas.harness.cores import find_core
from nas.harness.emulator import EmulatedCore
from nas.harness.firmware import FLAGS, build_image
from nas.space import Architecture, SearchSpace
from nas.space.graph import Graph
from nas.space.lookup import list_files, load_space
from nas.space.spec import StageSpec

SEED = 0
UNEVEN = 50  # networks of each space


class Network(NamedTuple):
    """One network with what was counted."""

    space: str
    graph: Graph
    instructions: int
    layers: dict[str, int]
    """By the name of the operator in the graph."""
    compiler: str


def main() -> None:
    arguments = parse()
    for space in arguments.spaces:
        count_space(space, arguments)
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    networks = [network(row) for row in rows if row["core"] == arguments.core and row["space"] in arguments.spaces]
    core = CoreSpec(schema=1, name=arguments.core, compiler=networks[0].compiler, instructions=fit(networks[::2]))
    Console().print(report(networks, core), uneven_widths([s for s in arguments.spaces if "+" not in s], core))
    if arguments.fit:
        arguments.fit.write_text(core_file(core, arguments.fit))
    if arguments.plot:
        plot(networks, arguments.core, arguments.plot)


def count_space(space: str, arguments: argparse.Namespace) -> None:
    """Append the counts of networks that are not there yet."""
    done = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    there = sum((row["space"], row["core"]) == (space, arguments.core) for row in map(json.loads, done))
    rng = random.Random(f"{space} {SEED}")
    drawn = [find_space(space).sample(rng) for _ in range(arguments.networks)]
    for architecture in track(drawn[there:], f"{space} on {arguments.core}", console=Console(stderr=True)):
        with arguments.out.open("a") as file:
            row = {
                "space": space,
                "core": arguments.core,
                "arch": architecture.to_json(),
                **count(architecture, arguments.core),
            }
            file.write(json.dumps(row) + "\n")


def find_space(name: str) -> SearchSpace:
    """A shipped space, or ``SPACE+N``, of which the n-th width is larger by n N modulo 4."""
    name, _, more = name.partition("+")
    return wider(load_space(name), lambda number: number * int(more or 0) % 4)


def wider(space: SearchSpace, more: Callable[[int], int]) -> SearchSpace:
    """With the n-th of each list of widths larger by ``more(n)``."""

    def widened(stage: StageSpec) -> StageSpec:
        parts = ("width",) if stage.hidden == (0,) else ("width", "hidden")
        widths = {part: tuple(width + more(n) for n, width in enumerate(getattr(stage, part))) for part in parts}
        return stage.model_copy(update=widths)

    stages = tuple(map(widened, space.spec.stage))
    return SearchSpace(space.spec.model_copy(update={"stage": stages}), space.origin, "")


def count(architecture: Architecture, core: str) -> dict[str, Any]:
    """Instructions of one inference on a random input, in all and of each operator of the graph."""
    program = program_of(synthetic_source(architecture.graph, SEED), "net")
    image = build_image(program, find_core(core))
    emulated = EmulatedCore(program, image)
    sample = np.random.default_rng(SEED).integers(-128, 128, (1, *emulated.input_shape[1:]), dtype=np.int8)
    cost = emulated.count(sample)
    layers = {layer.op.name: cost.layers[name] for layer, name in zip(program.layers, image.layers, strict=True)}
    compiler = f"{image.compiler}, {FLAGS[0]}"
    return {"instructions": cost.instructions, "layers": layers, "compiler": compiler}


def network(row: dict[str, Any]) -> Network:
    graph = Architecture.from_json(row["arch"]).graph
    return Network(row["space"], graph, row["instructions"], row["layers"], row["compiler"])


def fit(networks: list[Network]) -> Fits:
    """Least squares of relative errors over the layers of each kind; a loop of negative cost is left out."""
    lengths: dict[str, list[dict[str, int]]] = defaultdict(list)
    counted: dict[str, list[int]] = defaultdict(list)
    for one in networks:
        for op in one.graph.ops:
            lengths[op.kind.value].append(LOOPS[op.kind](one.graph, op, False))
            counted[op.kind.value].append(one.layers[op.name])
    return {kind: fit_kind(lengths[kind], np.array(counted[kind], float)) for kind in lengths}


def fit_kind(lengths: list[dict[str, int]], counted: np.ndarray[Any, Any]) -> dict[str, float]:
    names = list(dict.fromkeys(name for one in lengths for name, turns in one.items() if turns))
    nothing: dict[str, float] = {}
    while True:
        matrix = np.array([[one.get(name, 0) for name in names] for one in lengths], float) / counted[:, None]
        turns = np.linalg.lstsq(matrix, np.ones(len(counted)), rcond=None)[0]
        if turns.min() >= 0:
            return {name: round(float(turn), 3) for name, turn in zip(names, turns, strict=True)} | nothing
        nothing[names.pop(int(turns.argmin()))] = 0.0


def report(networks: list[Network], core: CoreSpec) -> Table:
    """Of each space: the line through ops, and the model on networks that it was not fitted to."""
    table = Table(title=f"{core.name}, {core.compiler}: instructions of one inference")
    for name in ("space", "networks", "r2 of ops", "slope", "intercept", "worst", "model: mean error", "worst"):
        table.add_column(name, justify="left" if name == "space" else "right")
    held_out = {id(one) for one in networks[1::2]}
    for space in dict.fromkeys(one.space for one in networks):
        mine = [one for one in networks if one.space == space]
        work = np.array([ops(one.graph) for one in mine], float)
        counted = np.array([one.instructions for one in mine], float)
        slope, intercept = np.polyfit(work, counted, 1)
        line = slope * work + intercept
        r2 = 1 - ((counted - line) ** 2).sum() / ((counted - counted.mean()) ** 2).sum()
        modelled = [(instructions(one.graph, core), one.instructions) for one in mine if id(one) in held_out]
        errors = [abs(found / real - 1) for found, real in modelled if found is not None]
        figures = f"{r2:.3f}", f"{slope:.2f}", f"{intercept / 1e6:.2f} M", f"{np.abs(line / counted - 1).max():.1%}"
        table.add_row(space, str(len(mine)), *figures, f"{np.mean(errors):.2%}", f"{max(errors):.2%}")
    return table


def uneven_widths(spaces: list[str], core: CoreSpec) -> Table:
    """What 1 to 3 channels beyond a multiple of 4 do to instructions per op, every other choice alike; modelled."""
    table = Table(title=f"{core.name}, modelled: instructions per op, against widths that are multiples of 4")
    for name in ("space", "1 more", "2 more", "3 more"):
        table.add_column(name, justify="left" if name == "space" else "right")
    for name in spaces:
        space, rng = load_space(name), random.Random(SEED)
        drawn = [space.choices(space.sample(rng)) for _ in range(UNEVEN)]
        per_op = [
            np.mean([per_op_of(wider(space, lambda _, more=more: more).architecture(each), core) for each in drawn])
            for more in range(4)
        ]
        table.add_row(name, *(f"{each / per_op[0]:.2f}x" for each in per_op[1:]))
    return table


def per_op_of(architecture: Architecture, core: CoreSpec) -> float:
    count = instructions(architecture.graph, core)
    return float("nan") if count is None else count / ops(architecture.graph)


FITTED = "# Instructions of one turn of each loop of the kernels, fitted by benchmarks/instructions.py."


def core_file(core: CoreSpec, path: Path) -> str:
    """The file with what was fitted; what it says above that stays."""
    lines = ["schema = 1", f'name = "{core.name}"', f'compiler = "{core.compiler}"', "", ""]
    above = path.read_text().partition(FITTED)[0] if path.exists() else "\n".join(lines)
    tables = [
        "\n".join([f"[instructions.{kind}]", *(f"{name} = {turn}" for name, turn in turns.items())])
        for kind, turns in core.instructions.items()
    ]
    return f"{above}{FITTED}\n" + "\n\n".join(tables) + "\n"


def plot(networks: list[Network], core: str, path: Path) -> None:
    """Ops against instructions, a colour for each space."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for space in dict.fromkeys(one.space for one in networks):
        mine = [one for one in networks if one.space == space]
        axes.scatter(
            [ops(one.graph) / 1e6 for one in mine], [one.instructions / 1e6 for one in mine], s=14, label=space
        )
    axes.set(xscale="log", yscale="log", xlabel="ops, millions", ylabel=f"instructions on an emulated {core}, millions")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=list(list_files("search_spaces")), help="default: all")
    parser.add_argument("--core", default="cortex-m4")
    parser.add_argument("--networks", type=int, default=10, help="of each space")
    parser.add_argument("--out", type=Path, default=Path("instructions.jsonl"))
    parser.add_argument("--fit", type=Path, help="write the fit as a file for constraints/cores")
    parser.add_argument("--plot", type=Path, help="scatter plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
