"""Builds the C code of a network for a core: one image without operating system, libraries or start-up code."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from nas.errors import InputError
from nas.export.c.emit import layer_names, write_c
from nas.export.c.program import Program
from nas.files import scratch_folder
from nas.harness.cores import Core

FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-ffunction-sections", "-fdata-sections")
COMPILER = "NAS_COMPILER"  # environment variable: zig or gcc
INSTALL = "pip install 'mcu-nas[emulation]'"
MESSAGE_LINES = 3  # of a compiler's words

VECTORS_BYTES = 0x100  # room for them in front of the code, as in a real image
STACK_BYTES = 16 << 10

LINKER_SCRIPT = """\
ENTRY({program}_run)
SECTIONS {{
  . = {code:#x};
  .vectors : {{ KEEP(*(.vectors)) }}
  . = {code:#x} + {vectors:#x};
  .text : {{ *(.text*) *(.rodata*) *(.data*) }}
  . = {ram:#x};
  .bss (NOLOAD) : {{ *(.bss* COMMON) }}
  . = ALIGN(16);
  stack_bottom = .;
  . += {stack:#x};
  stack_top = .;
  /DISCARD/ : {{ *(.ARM.*) *(.comment) *(.note*) }}
}}
"""


class Compiler(NamedTuple):
    """A C compiler for Arm."""

    name: str
    """With its version."""
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of an image at an address."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A network in machine code."""

    core: Core
    compiler: str
    segments: tuple[Segment, ...]
    symbols: Mapping[str, int]
    """Addresses of functions and variables."""
    layers: tuple[str, ...]
    """Functions of the layers, in the order in which they run; one that does nothing has no symbol."""
    static_bytes: int
    """RAM without the stack."""

    @property
    def flash_bytes(self) -> int:
        """Code, weights and tables."""
        return sum(len(segment.data) for segment in self.segments)


def find_compiler(core: Core) -> Compiler:
    """The compiler of ``$NAS_COMPILER``, or GCC, which latency is modelled for, or Zig's.

    Raises:
        InputError: there is none; says how to install one.
    """
    wanted = os.environ.get(COMPILER, "")
    if wanted not in ("", "zig", "gcc"):
        raise InputError(f"{COMPILER}={wanted}: expected zig or gcc")
    if wanted != "zig" and (gcc := shutil.which("arm-none-eabi-gcc")):
        return Compiler(f"gcc {_version([gcc, '-dumpfullversion'])}", (gcc, "-mthumb", *core.gcc))
    if wanted != "gcc" and importlib.util.find_spec("ziglang") is not None:
        zig = (sys.executable, "-P", "-m", "ziglang")  # -P: not one from the working folder
        return Compiler(f"zig {_version([*zig, 'version'])}", (*zig, "cc", *core.zig))
    raise InputError(
        f"no compiler for {core.name}: {INSTALL}, or arm-none-eabi-gcc (Debian: apt install gcc-arm-none-eabi)"
    )


def build_image(program: Program, core: Core) -> Image:
    """Compile and link a program alone, to be called by an emulator.

    Raises:
        InputError: no compiler or no reader of images; or the compiler refuses the code, which is a bug of ours.
    """
    compiler = find_compiler(core)
    if importlib.util.find_spec("elftools") is None:
        raise InputError(f"no reader of images for {core.name}: {INSTALL}")
    with scratch_folder("firmware") as folder:
        return _read_elf(build_elf(program, core, compiler, folder).read_bytes(), program, core, compiler)


def build_elf(
    program: Program,
    core: Core,
    compiler: Compiler,
    folder: Path,
    board: Path | None = None,
    beside: Mapping[str, str] = {},
    defined: Mapping[str, str] = {},
    marked: bool = False,
) -> Path:
    """Compile and link a program in a folder, by itself or with the code of a board.

    Args:
        program: the network.
        core: what it is for.
        compiler: of ``find_compiler``.
        folder: an empty one.
        board: source of the board; what lies beside it can be included.
        beside: file name -> text of sources that are compiled too.
        defined: macros of them and of the board.
        marked: the program calls the board's ``nas_mark`` before its first layer and after each.

    Raises:
        InputError: the compiler refuses the code.
    """
    write_c(program, folder)
    (folder / "main.c").unlink()
    for name, text in beside.items():
        (folder / name).write_text(text)
    script, image = folder / "link.ld", folder / "image.elf"
    memory = {"code": core.code, "ram": core.ram, "vectors": VECTORS_BYTES, "stack": STACK_BYTES}
    script.write_text(LINKER_SCRIPT.format(program=program.name, **memory))
    definitions = {
        "NAS_PROGRAM": program.name,
        "NAS_HEADER": f'"{program.name}.h"',
        "NAS_INPUT_BYTES": program.bytes_of(program.input),
        "NAS_OUTPUT_BYTES": program.bytes_of(program.output),
        **defined,
        **({"NAS_MARKS": _mark(folder / f"{program.name}.c")} if marked else {}),
    }
    kept = [f"-Wl,-u,{program.name}_{function}" for function in ("run", "input", "output")]
    linking = ["-nostdlib", "-static", "-Wl,--gc-sections", f"-Wl,-T,{script}", *kept, f"-I{folder}"]
    sources = [str(path) for path in (*sorted(folder.glob("*.c")), *([board] if board else []))]
    macros = [f"-D{name}={value}" for name, value in definitions.items()]
    included = [f"-I{board.parent}"] if board else []
    command = [*compiler.command, *FLAGS, *macros, *included, *linking, *sources, "-o", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise InputError(f"{compiler.name} refuses the code: {'; '.join(words[-MESSAGE_LINES:])}")
    return image


def _mark(source: Path) -> int:
    """Put calls of ``nas_mark`` around those of the layers; returns how many."""
    before, start, calls = source.read_text().partition(f"void {source.stem}_run(void)\n{{\n")
    lines = calls.replace(";\n", ";\n    nas_mark();\n")
    source.write_text(f"{before}void nas_mark(void);\n\n{start}    nas_mark();\n{lines}")
    return lines.count("nas_mark();") + 1


def _read_elf(data: bytes, program: Program, core: Core, compiler: Compiler) -> Image:
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(BytesIO(data))
    segments = tuple(
        Segment(segment["p_paddr"], segment.data())
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
    )
    symbols = {symbol.name: symbol["st_value"] for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
    static = sum(section["sh_size"] for section in elf.iter_sections() if section["sh_type"] == "SHT_NOBITS")
    return Image(core, compiler.name, segments, symbols, tuple(layer_names(program)), static)


def _version(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "of unknown version"
