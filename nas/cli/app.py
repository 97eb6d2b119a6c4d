"""The command ``nas``: parse, call one function, show. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from nas import __version__
from nas.cli.ablate import ablate
from nas.cli.compare import compare
from nas.cli.cost import cost
from nas.cli.data import data
from nas.cli.doctor import doctor
from nas.cli.dut import dut
from nas.cli.export import export
from nas.cli.lists import mcus, spaces
from nas.cli.plan import plan
from nas.cli.report import report
from nas.cli.search import search
from nas.cli.signals import INTERRUPTED, interrupt_on_signals
from nas.cli.submit import submit
from nas.cli.terminal import show_what_can_be_shown
from nas.cli.train import train
from nas.cli.validate import validate
from nas.errors import NasError
from nas.units import printable

EPILOG = (
    "Examples:\n\n"
    "nas search --task kws --flash 256KB\n\n"
    "nas search --task kws --mcu stm32f446re --time 45m --data speech_commands/\n\n"
    "nas search --resume exported/kws-20261122-101500\n\n"
    "nas validate model.tflite --task kws --data kws01/\n\n"
    "nas data check kws --data speech_commands/\n\n"
    "nas cost model.tflite --plot model.svg\n\n"
    "nas plan model.tflite --plot arena.svg"
)

app = typer.Typer(
    no_args_is_help=True,
    help="INT8 networks that provably fit a microcontroller. 1 KB is 1,024 bytes, 1 op half a multiply-accumulate.",
    epilog=EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (search, train, validate, export, plan, cost, report, compare, ablate, dut, submit, spaces, mcus, doctor)
for command in COMMANDS:
    app.command(no_args_is_help=command not in (search, spaces, mcus, doctor))(command)
app.add_typer(data, name="data")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["NAS_DEBUG"] = "1"
    if version:
        print(__version__)  # noqa: T201
        raise typer.Exit


def main() -> None:
    """Entry point; turns errors into one or two lines and an exit code (see ``nas.errors``)."""
    # OpenMP threads that spin while they wait starve each other where anything else runs: training two networks side
    # by side on two cores was 7 to 14 times slower with spinning. Must be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    interrupt_on_signals()
    show_what_can_be_shown()
    try:
        app()
    except NasError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except OSError as error:
        _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)
    except Exception as error:
        _fail(
            f"a bug in nas: {type(error).__name__}: {error}\nplease report it with what nas --debug prints",
            1,
        )


def _fail(message: str, code: int) -> None:
    if os.environ.get("NAS_DEBUG"):
        traceback.print_exc()
    first, *others = map(printable, message.split("\n"))
    sys.stderr.write("".join(f"{line}\n" for line in (f"nas: error: {first}", *(f"  {line}" for line in others))))
    sys.exit(code)
