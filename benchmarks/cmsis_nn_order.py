"""May the output of a CMSIS-NN kernel run into the dead part of its input? Kernels run on overlapping buffers.

    pip install bakenn==1.0.0 ziglang unicorn    # or apt: gcc-arm-none-eabi, qemu-system-arm (Cortex-M55 needs QEMU)
    python benchmarks/cmsis_nn_order.py --cases 150

CMSIS-NN 4.0.0 is built from the C sources in the package ``bakenn`` and called through the wrappers that TensorFlow
Lite Micro calls, on random shapes: once on disjoint buffers, then with the input D bytes after the start of the output
in one arena. D comes from shapes alone (``distance``) and is rounded up to 16. 16 bytes less show that a run can fail;
a random distance between D and the size of the output shows whether more is always safe. Each function's own order
gives another bound (``own_bound``), often tighter and sometimes wider, which is run alike. The path is the function
that the wrapper chose. Cores: plain C on this machine (``cc`` or ``ziglang``), an emulated Cortex-M4 (DSP) and
Cortex-M55 (MVE). ``bakenn`` has no element-wise addition, and CMSIS-NN 4.0.0 no grouped convolution.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

CONVOLUTION, DEPTHWISE, AVERAGE_POOL, MAX_POOL = range(4)
ALIGNMENT = 16
DISTANCES = 5  # as in the C file
BATCH = 200  # cases in the emulated memory at once
MAX_TENSOR, MAX_WEIGHTS, MAX_SCRATCH, MAX_MACS = 16_000, 49_152, 32_768, 400_000  # the C file has room for these
NEVER_READ = 1 << 40


@dataclass(frozen=True)
class Core:
    """A processor to build for; without ``machine`` it is the one of this computer.

    Attributes:
        path: the instructions that CMSIS-NN uses there.
        flags: options of arm-none-eabi-gcc.
        zig_flags: options of ``zig cc`` instead of them.
        machine: the one of QEMU.
        code, ram: addresses on that machine, in bytes.
    """

    name: str
    path: str
    flags: tuple[str, ...] = ()
    zig_flags: tuple[str, ...] = ()
    machine: str = ""
    code: int = 0
    ram: int = 0


CORES = (
    Core("host", "plain C"),
    Core(
        "cortex-m4",
        "DSP",
        ("-mcpu=cortex-m4", "-mthumb"),
        ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4"),
        "mps2-an386",
        0x0,
        0x20000000,
    ),
    Core(
        "cortex-m55",
        "MVE",
        ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
        ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55+mve"),  # without it Zig leaves MVE out
        "mps3-an547",
        0x10000000,
        0x30000000,
    ),
)


@dataclass(frozen=True)
class Case:
    """One kernel at one shape; pairs are (height, width)."""

    label: str
    kind: int
    size: tuple[int, int]
    c_in: int
    c_out: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    out: tuple[int, int]
    seed: int

    @property
    def pixels(self) -> int:
        return math.prod(self.out)

    @property
    def out_bytes(self) -> int:
        return self.pixels * self.c_out

    @property
    def taps(self) -> int:
        """Products in one output."""
        return math.prod(self.kernel) * (self.c_in if self.kind == CONVOLUTION else 1)

    def packed(self, distances: list[int]) -> bytes:
        """The struct ``Case`` of the C file."""
        shift = -round(math.log2(math.sqrt(self.taps) * 5500 / 60))  # outputs then spread over the 256 values
        input_offset = random.Random(self.seed).choice((128, 5, -17))
        dims = (*self.size, self.c_in, self.c_out, *self.kernel, *self.stride, *self.dilation, *self.pad, *self.out)
        return struct.pack(
            f"<{19 + DISTANCES}i", self.kind, *dims, self.c_out // self.c_in, shift, input_offset, self.seed, *distances
        )


class Result(NamedTuple):
    """What one core did with one case; ``different`` counts output bytes, for each distance."""

    chosen: str
    status: int
    stray: int
    checksum: int
    different: list[int]


def main() -> None:
    """Build, run and print one line per kernel, function and core."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=150, help="random shapes of each kernel")
    names = [core.name for core in CORES]
    parser.add_argument("--cores", nargs="+", choices=names, default=names, metavar="CORE", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cases = [case for label in FAMILIES for case in random_cases(label, options.cases, options.seed)]
    console, rows, checksums = Console(width=170), [], []
    try:
        for core in (core for core in CORES if core.name in options.cores):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                results = list(run_cases(core, build(core, folder), folder, cases))
            rows += table_rows(core, cases, results)
            checksums.append([result.checksum for result in results])
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    headers = ("kernel", "path", "core", "runs", "equal at D", "differ at D-16", "equal above D")
    table = Table(
        *headers, "own bound", "equal at it", "differ at -16", title="CMSIS-NN 4.0.0, output starts before input"
    )
    for row in sorted(rows, key=lambda row: list(FAMILIES).index(row[0])):
        table.add_row(*row)
    console.print(table)
    same = sum(len(set(of_case)) == 1 for of_case in zip(*checksums, strict=True))
    console.print(f"disjoint buffers: the same output on all {len(checksums)} cores in {same} of {len(cases)} cases")


# --- bounds ---------------------------------------------------------------------------------------------------------


def lowest_live(case: Case) -> list[int]:
    """For each output pixel, the lowest input pixel that it or a later one reads; one more at the end."""
    rows, columns = (
        [_first_read(i * case.stride[axis] - case.pad[axis], case, axis) for i in range(case.out[axis])]
        for axis in (0, 1)
    )
    live = [NEVER_READ]
    for y in reversed(rows):
        for x in reversed(columns):
            live.append(min(live[-1], y * case.size[1] + x))
    return live[::-1]


def _first_read(start: int, case: Case, axis: int) -> int:
    """First row (or column) inside the input of the window that begins at ``start``."""
    inside = start + max(0, math.ceil(-start / case.dilation[axis])) * case.dilation[axis]
    last = start + (case.kernel[axis] - 1) * case.dilation[axis]
    return inside if inside <= min(last, case.size[axis] - 1) else NEVER_READ


def distance(case: Case) -> int:
    """D: bytes from the start of the output to the start of the input, if pixels are written in raster order.

    Average pooling and depthwise convolution with multiplier 1 read channel c only for channel c of the output.
    """
    live = lowest_live(case)
    if case.kind == AVERAGE_POOL or (case.kind == DEPTHWISE and case.c_in == case.c_out):
        return round_up(max((p - live[p]) * case.c_in for p in range(case.pixels)))
    return round_up(direct_bound(case, range(case.pixels + 1)))


def direct_bound(case: Case, starts: Iterable[int]) -> int:
    """Bytes that blocks of pixels need if a block is still read while it is written."""
    live = lowest_live(case)
    return max(end * case.c_out - live[start] * case.c_in for start, end in pairwise(starts))


def ahead_bound(case: Case, block: int) -> int:
    """Bytes that blocks of pixels need if a block is read as a whole before it is written."""
    live = lowest_live(case)
    ends = range(block, case.pixels, block)
    return max((end * case.c_out - live[end] * case.c_in for end in ends), default=-NEVER_READ)


def round_up(count: int, multiple: int = ALIGNMENT) -> int:
    return -(-count // multiple) * multiple


def own_bound(case: Case, chosen: str, core: Core) -> tuple[str, int]:
    """Name and bytes, not rounded, of the bound that the order of reading and writing in a function gives."""
    mve = core.path == "MVE"
    rows = range(0, case.pixels + 1, case.out[1])
    if chosen == "arm_convolve_1x1_s8_fast":
        if mve:
            return "blocks of 4", direct_bound(case, _blocks(rows[0], rows[-1]))
        return ("2 pixels ahead", ahead_bound(case, 2)) if case.c_out <= 2 else ("no overlap", case.out_bytes)
    if chosen == "arm_convolve_1x1_s8":
        if mve:
            return "blocks of 4", max(direct_bound(case, _blocks(*row)) for row in pairwise(rows))
        return "rows", direct_bound(case, rows)
    if chosen == "arm_convolve_1_x_n_s8" and mve:
        return "blocks of 4", direct_bound(case, range(0, case.pixels + 1, 4))
    if case.kind == CONVOLUTION:
        return ("4 pixels ahead", ahead_bound(case, 4)) if mve else ("2 pixels ahead", ahead_bound(case, 2))
    if chosen == "arm_depthwise_conv_s8_opt" and mve:
        if case.c_in > 124:  # CH_IN_BLOCK_MVE
            return "multiple of C", round_up(distance(case), math.lcm(ALIGNMENT, case.c_in))
        return "4 pixels ahead", ahead_bound(case, 4)
    if case.kind == MAX_POOL:
        return "1 pixel ahead", ahead_bound(case, 1)
    return "D", distance(case)


def _blocks(start: int, end: int) -> list[int]:
    """Pixels where blocks begin: of 4, then of 1."""
    whole = start + (end - start) // 4 * 4
    return [*range(start, whole, 4), *range(whole, end + 1)]


# --- random shapes --------------------------------------------------------------------------------------------------

KERNELS = [(h, w) for h in range(1, 6) for w in range(1, 6)] + [(10, 4)] * 3
NOT_3X3 = [kernel for kernel in KERNELS if kernel != (3, 3)]
CHANNELS = [1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 17, 24, 30, 32, 33, 48, 64, 65, 96, 100, 124, 125, 128, 131, 144, 150]


def _shape(choose: random.Random, label: str, seed: int) -> Case:
    """A random shape of a kernel; it may be too large, or leave nothing to overlap."""
    kind, changes = FAMILIES[label]
    given = {
        "size": (choose.randint(1, 24), choose.randint(1, 24)),
        "c_in": choose.choice(CHANNELS),
        "c_out": choose.choice(CHANNELS),
        "kernel": choose.choice(KERNELS),
        "stride": choose.choice([(1, 1), (2, 2), (1, 1), (2, 2), (1, 2), (2, 1)]),
        "dilation": (1, 1),
        "same": choose.random() < 0.7,
        "multiplier": 1,
    } | changes(choose)
    if kind != CONVOLUTION:
        given["c_out"] = given["c_in"] * given["multiplier"]
    window = [(k - 1) * d + 1 for k, d in zip(given["kernel"], given["dilation"], strict=True)]
    spans = list(zip(given["size"], window, given["stride"], strict=True))
    if given["same"]:  # as TensorFlow Lite computes it
        out = [math.ceil(size / stride) for size, _, stride in spans]
        pad = [max(0, (o - 1) * stride + w - size) // 2 for o, (size, w, stride) in zip(out, spans, strict=True)]
    else:
        out = [(size - w) // stride + 1 for size, w, stride in spans]
        pad = [0, 0]
    keys = ("size", "c_in", "c_out", "kernel", "stride", "dilation")
    return Case(label, kind, *(given[key] for key in keys), tuple(pad), tuple(out), seed)


def _fits(case: Case) -> bool:
    """Whether the C file has room for it and output and input overlap by at least one byte."""
    filter_channels = case.c_in if case.kind == CONVOLUTION else 1
    return (
        min(case.out) > 0
        and max(math.prod(case.size) * case.c_in, case.out_bytes) <= MAX_TENSOR
        and math.prod(case.kernel) * filter_channels * case.c_out <= MAX_WEIGHTS
        and 4 * math.prod(case.kernel) * max(case.c_in, 124) <= MAX_SCRATCH
        and case.out_bytes * case.taps <= MAX_MACS
        and case.c_out <= 512
        and 0 <= distance(case) < case.out_bytes
    )


def random_cases(label: str, count: int, seed: int) -> list[Case]:
    """So many shapes of a kernel, the same for the same seed."""
    choose = random.Random(f"{label} {seed}")
    found: list[Case] = []
    while len(found) < count:
        case = _shape(choose, label, choose.getrandbits(31) | 1)
        if _fits(case):
            found.append(case)
    return found


Changes = Callable[[random.Random], dict[str, object]]
FAMILIES: dict[str, tuple[int, Changes]] = {
    "conv 1x1": (
        CONVOLUTION,
        lambda r: {"kernel": (1, 1), "stride": (1, 1), "c_out": r.choice(CHANNELS[2:])},
    ),
    "conv 1x1, C_out 1-2": (
        CONVOLUTION,
        lambda r: {"kernel": (1, 1), "stride": (1, 1), "c_out": r.choice((1, 2))},
    ),
    "conv 1x1, stride 2": (
        CONVOLUTION,
        lambda r: {"kernel": (1, 1), "stride": r.choice([(2, 2), (2, 1), (1, 2)]), "c_out": r.choice(CHANNELS[2:])},
    ),
    "conv 1xN, out 1x4n": (
        CONVOLUTION,
        lambda r: {
            "stride": (s := (r.choice((1, 2)),) * 2),
            "size": (1, 4 * s[0] * r.randint(1, 15)),
            "kernel": (1, r.randint(2, 9)),
            "same": True,
        },
    ),
    "conv 1xN, other": (
        CONVOLUTION,
        lambda r: {"stride": (1, 1), "size": (1, 4 * r.randint(1, 15) + 1), "kernel": (1, 5), "same": True},
    ),
    "conv general": (CONVOLUTION, lambda r: {"kernel": r.choice(KERNELS[1:])}),
    "conv, C_in 1": (CONVOLUTION, lambda r: {"kernel": r.choice(KERNELS[1:]), "c_in": 1}),
    "conv, dilation 2": (CONVOLUTION, lambda r: {"stride": (1, 1), "dilation": r.choice([(2, 2), (1, 2), (2, 1)])}),
    "depthwise 3x3": (DEPTHWISE, lambda r: {"kernel": (3, 3), "c_in": r.choice(CHANNELS[:-5])}),
    "depthwise": (DEPTHWISE, lambda r: {"kernel": r.choice(NOT_3X3), "c_in": r.choice(CHANNELS[:-5])}),
    "depthwise, C 125-150": (DEPTHWISE, lambda r: {"kernel": r.choice(NOT_3X3), "c_in": r.randint(125, 150)}),
    "depthwise, C 128, 144": (DEPTHWISE, lambda r: {"kernel": r.choice(NOT_3X3), "c_in": r.choice((128, 144))}),
    "depthwise, dilation 2": (DEPTHWISE, lambda r: {"stride": (1, 1), "dilation": r.choice([(2, 2), (1, 2), (2, 1)])}),
    "depthwise, mult. 2-8": (DEPTHWISE, lambda r: {"multiplier": r.randint(2, 8)}),
    "average pool": (AVERAGE_POOL, lambda r: {}),
    "global average pool": (
        AVERAGE_POOL,
        lambda r: {"kernel": (size := (r.randint(2, 24), r.randint(1, 24))), "size": size, "same": False},
    ),
    "max pool": (MAX_POOL, lambda r: {}),
}


# --- building and running -------------------------------------------------------------------------------------------


def build(core: Core, folder: Path) -> Path:
    """The program for a core, from the CMSIS-NN sources in ``bakenn``."""
    found = importlib.util.find_spec("bakenn")
    if found is None or found.origin is None:
        raise FileNotFoundError("no CMSIS-NN sources: pip install bakenn")
    vendor = Path(found.origin).parent / "backend" / "cmsis_nn" / "vendor"
    root = vendor / "cmsis_nn"
    sources = [path for path in sorted((root / "Source").rglob("*.c")) if "_wrapper_" not in path.name]
    driver, program, script = Path(__file__).with_suffix(".c"), folder / "program", folder / "link.ld"
    includes = [f"-I{path}" for path in (root / "Include", root / "Source", vendor / "cmsis_core" / "Include")]
    script.write_text(
        f"ENTRY(reset)\nSECTIONS {{\n . = {core.code:#x}; .text : {{ KEEP(*(.vectors)) *(.text* .rodata* .data*) }}\n"
        f" /DISCARD/ : {{ *(.ARM.*) *(.comment) }}\n . = {core.ram:#x}; .bss (NOLOAD) : {{ *(.bss* COMMON) }}\n"
        " . = ALIGN(16); . += 0x4000; stack_top = .; cases = .;\n}\n"
    )
    target = _host_compiler() if not core.machine else _cross_compiler(core, script)
    command = [*target, "-O2", "-w", *includes, str(driver), *map(str, sources), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), f"exit status {done.returncode}")
        raise RuntimeError(f"{Path(target[0]).name} cannot build CMSIS-NN for {core.name}: {reason}")
    return program


def _host_compiler() -> list[str]:
    """A compiler, and what keeps Arm's own headers out."""
    names = {"__GNUC_PYTHON__": "1", "__RESTRICT": "__restrict", "PLAIN_C": "1"}
    options = [f"-D{name}={value}" for name, value in names.items()]
    if found := shutil.which("cc") or shutil.which("gcc"):
        return [found, *options]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", *options]
    raise FileNotFoundError("no compiler for this machine: pip install ziglang, or apt install gcc")


def _cross_compiler(core: Core, script: Path) -> list[str]:
    options = ["-ffreestanding", "-nostdlib", "-static", "-DBAKENN_CMSIS_NN_FREESTANDING", f"-Wl,-T,{script}"]
    options.append(f"-D{core.path}")
    if found := shutil.which("arm-none-eabi-gcc"):
        return [found, *core.flags, *options]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", *core.zig_flags, *options]
    raise FileNotFoundError(f"no compiler for {core.name}: pip install ziglang, or apt install gcc-arm-none-eabi")


def run_cases(core: Core, program: Path, folder: Path, cases: list[Case]) -> Iterator[Result]:
    """What a core does with each case."""
    chosen = [
        line[0] for line in _run(core, program, folder, [case.packed([0] * DISTANCES) for case in cases], "choosing")
    ]
    packed = []
    for case, function in zip(cases, chosen, strict=True):
        least, bound = distance(case), max(round_up(own_bound(case, function, core)[1]), 0)
        more = random.Random(case.seed).randrange(least, case.out_bytes, ALIGNMENT)
        packed.append(case.packed([least, least - ALIGNMENT, more, bound, bound - ALIGNMENT]))
    for function, *numbers in _run(core, program, folder, packed, "running"):
        status, stray, checksum, *different = (int(number, 16) for number in numbers)
        yield Result(function, status, stray, checksum, different)


def _run(core: Core, program: Path, folder: Path, packed: list[bytes], task: str) -> Iterator[list[str]]:
    file, start = folder / "cases", _runner(core, program, folder)
    batches = [packed[i : i + BATCH] for i in range(0, len(packed), BATCH)]
    for batch in track(batches, f"{core.name}, {task}", console=Console(stderr=True)):
        file.write_bytes(struct.pack("<i", len(batch)) + b"".join(batch))
        lines = start().splitlines()
        if len(lines) != len(batch):
            raise RuntimeError(f"{core.name} stopped after {len(lines)} of {len(batch)} cases")
        yield from (line.split() for line in lines)


def _runner(core: Core, program: Path, folder: Path) -> Callable[[], str]:
    """A function that runs the cases in the folder's file and returns the printed text."""
    file = folder / "cases"
    if not core.machine:
        return lambda: _output([str(program), str(file)])
    if found := shutil.which("qemu-system-arm"):
        address = _symbols(program)["cases"]
        options = f"-M {core.machine} -display none -monitor none -serial none -chardev stdio,id=text"
        console = "enable=on,target=native,chardev=text"
        load = ["-kernel", str(program), "-device", f"loader,file={file},addr={address:#x},force-raw=on"]
        return lambda: _output([found, *options.split(), "-semihosting-config", console, *load])
    if core.name != "cortex-m4":
        raise FileNotFoundError(f"no emulator for {core.name}: apt install qemu-system-arm, or leave out with --cores")
    if importlib.util.find_spec("unicorn") is None:
        raise FileNotFoundError("no emulator: pip install unicorn, or apt install qemu-system-arm")
    return lambda: _emulate(core, program, file.read_bytes())


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()[-300:] or done.returncode}")
    return done.stdout


def _symbols(program: Path) -> dict[str, int]:
    """Addresses of an ELF file's global names."""
    data = program.read_bytes()
    (offset,), (count,) = struct.unpack_from("<I", data, 32), struct.unpack_from("<H", data, 48)
    sections = [struct.unpack_from("<10I", data, offset + 40 * i) for i in range(count)]
    found = {}
    for _, kind, _, _, start, size, link, *_ in sections:
        for at in range(start, start + size, 16) if kind == 2 else ():
            name, value = struct.unpack_from("<II", data, at)
            text = sections[link][4] + name
            found[data[text : data.index(b"\0", text)].decode()] = value
    return found


def _emulate(core: Core, program: Path, cases: bytes) -> str:
    """Run a Cortex-M4 program in Unicorn; it prints and ends by semihosting."""
    import unicorn
    from unicorn import arm_const as arm

    symbols, data = _symbols(program), program.read_bytes()
    emulator = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    emulator.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
    for address in (core.code, core.ram):
        emulator.mem_map(address, 0x400000)
    (offset,), (count,) = struct.unpack_from("<I", data, 28), struct.unpack_from("<H", data, 44)
    for i in range(count):
        kind, start, address, _, size, *_ = struct.unpack_from("<8I", data, offset + 32 * i)
        if kind == 1:
            emulator.mem_write(address, data[start : start + size])
    emulator.mem_write(symbols["cases"], cases)
    emulator.reg_write(arm.UC_ARM_REG_SP, symbols["stack_top"])
    printed = []

    def on_break(machine: unicorn.Uc, _number: int, _data: object) -> None:
        operation, at = machine.reg_read(arm.UC_ARM_REG_R0), machine.reg_read(arm.UC_ARM_REG_R1)
        if operation != 4:
            machine.emu_stop()
            return
        printed.append(bytes(machine.mem_read(at, 64)).partition(b"\0")[0].decode())
        machine.reg_write(arm.UC_ARM_REG_PC, machine.reg_read(arm.UC_ARM_REG_PC) + 2 | 1)

    emulator.hook_add(unicorn.UC_HOOK_INTR, on_break)
    emulator.emu_start(symbols["reset"] | 1, 0xFFFFFFFF)
    return "".join(printed)


# --- table ----------------------------------------------------------------------------------------------------------


def table_rows(core: Core, cases: list[Case], results: list[Result]) -> Iterator[list[str]]:
    """One row per kernel and chosen function; raises where a kernel refused a case or wrote outside its output."""
    groups: dict[tuple[str, str, str], list[tuple[Case, Result, int]]] = {}
    for case, result in zip(cases, results, strict=True):
        if result.status or result.stray:
            raise RuntimeError(f"{result.chosen} on {core.name}: status {result.status}, {result.stray} stray bytes")
        name, bound = own_bound(case, result.chosen, core)
        groups.setdefault((case.label, result.chosen, name), []).append((case, result, round_up(bound)))
    for (label, chosen, name), group in groups.items():
        equal, below, more = (sum(result.different[i] == 0 for _, result, _ in group) for i in (0, 1, 2))
        own = [result for case, result, bound in group if 0 < bound < case.out_bytes]
        at_own, below_own = (sum(result.different[i] == 0 for result in own) for i in (3, 4))
        yield [
            label,
            chosen.removeprefix("arm_"),
            f"{core.path}, {core.name}",
            str(len(group)),
            str(equal),
            str(len(group) - below),
            str(more),
            name,
            "-" if name == "D" else f"{at_own} of {len(own)}",
            "-" if name == "D" else str(len(own) - below_own),
        ]


if __name__ == "__main__":
    main()
