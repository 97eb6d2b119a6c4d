"""Compile the C code of a network for this machine and run it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import numpy as np

from nas.errors import ValidationError
from nas.export.c.emit import write_c
from nas.export.c.program import Program
from nas.files import scratch_folder
from nas.harness.firmware import Compiler
from nas.tasks.base import Int8Array

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2", "-w")  # a warning of the user's own compiler is no reason to refuse an export
RUN_SECONDS = 600  # of all samples together
MESSAGE_LINES = 3

MAIN = """\
#include <stdio.h>

#include "{name}.h"

int main(void)
{{
    while (fread({name}_input(), 1, {macro}_INPUT_BYTES, stdin) == {macro}_INPUT_BYTES) {{
        {name}_run();
        fwrite({name}_output(), 1, {macro}_OUTPUT_BYTES, stdout);
    }}
    return 0;
}}
"""


def find_host_compiler() -> Compiler | None:
    """Return the system's C compiler, else Zig's, else None."""
    for name in COMPILERS:
        if found := shutil.which(name):
            return Compiler(name, (found,))
    if importlib.util.find_spec("ziglang") is not None:
        return Compiler("zig cc", (sys.executable, "-P", "-m", "ziglang", "cc"))
    return None


def run_on_host(program: Program, compiler: Compiler, inputs: Int8Array) -> Int8Array:
    """Return the outputs (n, values) of the compiled code for samples (n, ...).

    Raises:
        ValidationError: the compiler refuses the code, or the code ends early or never.
    """
    with scratch_folder("host") as folder:
        write_c(program, folder)
        (folder / "main.c").write_text(MAIN.format(name=program.name, macro=program.name.upper()))
        binary = folder / "network"
        _call([*compiler.command, *FLAGS, *map(str, sorted(folder.glob("*.c"))), "-o", str(binary)], compiler.name)
        said = _call([str(binary)], "the compiled code", inputs.tobytes())
    outputs = np.frombuffer(said, np.int8)
    if len(outputs) != len(inputs) * program.bytes_of(program.output):
        raise ValidationError(f"the compiled code wrote {len(outputs):,} bytes for {len(inputs)} samples")
    return outputs.reshape(len(inputs), -1)


def _call(command: list[str], what: str, fed: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=fed, capture_output=True, timeout=RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired as cause:
        raise ValidationError(f"{what} does not end within {RUN_SECONDS} s") from cause
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        words = [line for line in lines if "error" in line] or lines
        raise ValidationError(f"{what} fails ({done.returncode}): {'; '.join(words[-MESSAGE_LINES:])}")
    return done.stdout
