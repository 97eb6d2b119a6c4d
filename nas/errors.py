"""Every error that a user can meet, and the exit code that each one ends with.

::

    NasError                      1  a bug of ours, when nothing below fits
    ├── InputError                2  bad input or usage: a flag, a file, a folder
    │   ├── UnitError             2  "256XB"
    │   ├── SpecError             2  a space or constraint file: names file, table and key
    │   ├── DataError             2  a data set that is missing, damaged or of the wrong kind
    │   └── RunFolderError        2  a run folder that cannot be written, read or resumed
    │       └── BusyRunError      2  one in which another process works
    ├── InfeasibleError           3  no network of the space fits the budget
    ├── ValidationError           4  the exported file does not fit, or outputs disagree
    └── InterruptedRunError     130  stopped by Ctrl-C, SIGTERM or SIGHUP; the run can be resumed

A message is one or two lines: what was asked, what was found, where, and the nearest thing that works.
"""

from __future__ import annotations

from pathlib import Path

LONGEST_LINE = 4000  # characters of a message


class NasError(Exception):
    """Root of the tree; the command line prints its message and exits with ``exit_code``."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, of which no line is longer than a terminal bears: it may quote what a user gave."""
        lines = super().__str__().split("\n")
        return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in lines)


class InputError(NasError):
    """The request itself is wrong."""

    exit_code = 2


class UnitError(InputError):
    """A size, count or duration that cannot be read."""


class SpecError(InputError):
    """A search-space or constraint file breaks its schema."""

    def __init__(self, file: str | Path, where: str, problem: str) -> None:
        super().__init__(f"{file}: {where}: {problem}" if where else f"{file}: {problem}")
        self.file, self.where, self.problem = str(file), where, problem


class DataError(InputError):
    """A data set is missing, damaged, or not of the kind that the task needs."""


class RunFolderError(InputError):
    """A run folder cannot be created, read or resumed."""


class BusyRunError(RunFolderError):
    """Another process works in a run folder."""


class InfeasibleError(NasError):
    """Nothing in the space fits the budget."""

    exit_code = 3


class ValidationError(NasError):
    """A produced file does not fit its budget, or two runtimes disagree on its outputs."""

    exit_code = 4


class InterruptedRunError(NasError):
    """The user stopped the work; what was finished is kept."""

    exit_code = 130
