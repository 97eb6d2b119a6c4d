"""Neural architecture search for microcontrollers: INT8 networks that provably fit.

>>> import nas
>>> result = nas.search("kws", flash="256KB", sram="128KB", time="45m", data="speech_commands")  # doctest: +SKIP
>>> result.report["winner"]["int8_score"]  # doctest: +SKIP
"""

from __future__ import annotations

from nas.api import ablate, compare, cost_of, resume, search, train, validate, write_report
from nas.errors import NasError

__version__ = "0.1.0"
__all__ = [
    "NasError",
    "__version__",
    "ablate",
    "compare",
    "cost_of",
    "resume",
    "search",
    "train",
    "validate",
    "write_report",
]
