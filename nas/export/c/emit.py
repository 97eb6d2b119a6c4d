"""Writes a program as C99: one source file, its header, an example, and the kernels that it calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from nas.export.c.program import Program
from nas.export.c.source import Fields, Layer, Table
from nas.files import write_bytes

LINE = 116  # characters of a row of constants


class Kernel(NamedTuple):
    """Where a kernel is, and the struct that it takes."""

    file: str
    struct: str


KERNELS: Mapping[str, Kernel] = {
    "conv": Kernel("nas_conv.c", "nas_conv"),
    "depthwise": Kernel("nas_depthwise.c", "nas_depthwise"),
    "fully_connected": Kernel("nas_fully_connected.c", "nas_fully_connected"),
    "add": Kernel("nas_add.c", "nas_add"),
    "multiply": Kernel("nas_multiply.c", "nas_multiply"),
    "rescale": Kernel("nas_rescale.c", "nas_rescale"),
    "mean": Kernel("nas_mean.c", "nas_mean"),
    "concatenate": Kernel("nas_move.c", "nas_concatenate"),
    "average_pool": Kernel("nas_pool.c", "nas_pool"),
    "max_pool": Kernel("nas_pool.c", "nas_pool"),
    "pad": Kernel("nas_move.c", "nas_pad"),
    "copy": Kernel("nas_move.c", "nas_copy"),
    "softmax": Kernel("nas_softmax.c", "nas_softmax"),
}
HEADERS = ("nas_kernels.h", "nas_arithmetic.h")


def c_files(program: Program) -> dict[str, str]:
    """File name -> text of everything that a firmware compiles, and ``main.c``, an example."""
    sources = sorted({KERNELS[layer.kernel].file for layer in program.layers})
    kernels = {name: (files("nas.export.c") / "kernels" / name).read_text() for name in (*HEADERS, *sources)}
    return {
        f"{program.name}.h": _header(program),
        f"{program.name}.c": _source(program),
        "main.c": _example(program),
        **kernels,
    }


def write_c(program: Program, folder: Path) -> None:
    """Write ``c_files`` into a folder, each file atomically.

    Raises:
        InputError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in c_files(program).items():
        write_bytes(folder / name, text.encode())


def layer_names(program: Program) -> list[str]:
    """Name of the function of each layer, without the program's prefix: ``layer_03_depthwise``."""
    return [f"layer_{number:02}_{layer.kernel}" for number, layer in enumerate(program.layers)]


def _header(program: Program) -> str:
    macro, tensors = program.name.upper(), program.source.model.tensors
    grids = {"INPUT": program.source.grid(program.input), "OUTPUT": program.source.grid(program.output)}
    shapes = {"INPUT": tensors[program.input].shape, "OUTPUT": tensors[program.output].shape}
    sizes = {"INPUT": program.bytes_of(program.input), "OUTPUT": program.bytes_of(program.output)}
    lines = []
    for which, grid in grids.items():
        shape = " x ".join(map(str, shapes[which]))
        lines += [
            f"/* {which.lower()}: int8, {shape}; real value = scale * (q - zero point) */",
            f"#define {macro}_{which}_BYTES {sizes[which]}",
            f"#define {macro}_{which}_SCALE {grid.scale!r}f",
            f"#define {macro}_{which}_ZERO_POINT ({grid.zero_point})",
        ]
    return _HEADER.format(name=program.name, macro=macro, arena=program.arena_bytes, definitions="\n".join(lines))


def _source(program: Program) -> str:
    names, free = layer_names(program), free_layers(program)
    parts = [_SOURCE.format(name=program.name, macro=program.name.upper())]
    for position, (name, layer) in enumerate(zip(names, program.layers, strict=True)):
        parts.append(_layer(program, position, name, layer))
    calls = "\n".join(f"    {name}();" for name in names if name not in free)
    parts.append(
        _RUN.format(
            name=program.name, input=program.offset(program.input), output=program.offset(program.output), calls=calls
        )
    )
    return "\n".join(parts)


def free_layers(program: Program) -> set[str]:
    """Names of layers that do nothing, copies onto themselves, and are never called."""
    return {
        name
        for name, layer in zip(layer_names(program), program.layers, strict=True)
        if layer.kernel == "copy" and program.offset(layer.inputs[0]) == program.offset(layer.output)
    }


def _layer(program: Program, position: int, name: str, layer: Layer) -> str:
    """Constants of one layer and its function."""
    if name in free_layers(program):
        return f"/* {name}: {layer.op.kind} leaves the values where they are */\n"
    *inputs, output = (f"arena + {program.offset(tensor)}" for tensor in (*layer.inputs, layer.output))
    listed = ""
    if layer.kernel == "concatenate":  # of any number of inputs
        listed = f"    const int8_t *const inputs[] = {{{', '.join(inputs)}}};\n"
        inputs = ["inputs"]
    arguments = [*inputs, output]
    if layer.scratch_bytes:
        arguments.append(f"arena + {program.scratch_offset(position)}")
    struct = KERNELS[layer.kernel].struct
    tables = "".join(_table(f"{name}_{key}", table) for key, table in _tables(layer.fields))
    members = ",\n".join(f"    {line}" for line in _members(name, layer.fields))
    return (
        f"/* {layer.op.kind} */\n{tables}static const {struct} {name}_constants = {{\n{members},\n}};\n\n"
        f"static void __attribute__((noinline)) {name}(void)\n{{\n{listed}"
        f"    nas_{layer.kernel}_run(&{name}_constants, {', '.join(arguments)});\n}}\n"
    )


def _tables(fields: Fields) -> Iterator[tuple[str, Table]]:
    for key, value in fields.items():
        if isinstance(value, Table):
            yield key, value
        elif isinstance(value, dict):
            yield from _tables(value)


def _members(name: str, fields: Fields) -> Iterator[str]:
    """Initialisers in the order of the struct, one line each; C++ has no names for them before 2020."""
    for key, value in fields.items():
        yield f"/* {key} */ {_value(name, key, value)}"


def _value(name: str, key: str, value: Any) -> str:
    if isinstance(value, Table):
        return f"{name}_{key}"
    if isinstance(value, dict):
        return "{" + ", ".join(_members(name, value)) + "}"
    return str(value)


def _table(name: str, table: Table) -> str:
    """Words are aligned: kernels load four weights at once."""
    aligned = "NAS_ALIGNED(4) " if table.ctype == "int8_t" else ""
    rows = table_rows(table.values.flatten().tolist())
    return f"static const {table.ctype} {aligned}{name}[] = {{\n{rows}\n}};\n"


def table_rows(values: Iterable[int]) -> str:
    """Constants of an array, as many in a row as go into it."""
    rows, row = [], "   "
    for value in values:
        text = f" {value},"
        if len(row) + len(text) > LINE:
            rows.append(row)
            row = "   "
        row += text
    return "\n".join([*rows, row])


def _example(program: Program) -> str:
    return _MAIN.format(name=program.name, macro=program.name.upper())


_HEADER = """\
/* Generated by mcu-nas: an INT8 network in C99, with the arithmetic of TensorFlow Lite's reference kernels. */
#ifndef {macro}_H
#define {macro}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* activations and scratch memory, all the static RAM there is */
#define {macro}_ARENA_BYTES {arena}
{definitions}

/* Put the input here, ... */
int8_t *{name}_input(void);
/* ... run, which overwrites it, ... */
void {name}_run(void);
/* ... and read the output here, until the next input. */
const int8_t *{name}_output(void);

#ifdef __cplusplus
}}
#endif
#endif
"""

_SOURCE = """\
/* Generated by mcu-nas. Compile it with the nas_*.c files beside it. */
#include "{name}.h"

#include "nas_kernels.h"

#define NAS_ALIGNED(bytes) __attribute__((aligned(bytes)))

static int8_t NAS_ALIGNED(16) arena[{macro}_ARENA_BYTES];
"""

_RUN = """\
int8_t *{name}_input(void)
{{
    return arena + {input};
}}

const int8_t *{name}_output(void)
{{
    return arena + {output};
}}

void {name}_run(void)
{{
{calls}
}}
"""

_MAIN = """\
/* An example: reads one input of {macro}_INPUT_BYTES bytes of int8, prints the output. */
#include <stdio.h>

#include "{name}.h"

int main(void)
{{
    if (fread({name}_input(), 1, {macro}_INPUT_BYTES, stdin) != {macro}_INPUT_BYTES) {{
        fprintf(stderr, "expected %d bytes of input\\n", {macro}_INPUT_BYTES);
        return 1;
    }}
    {name}_run();
    for (int i = 0; i < {macro}_OUTPUT_BYTES; i++) {{
        printf("%d\\n", {name}_output()[i]);
    }}
    return 0;
}}
"""
