"""``python warm_nas.py SHARED ADDRESS WORDS...``: the command ``nas WORDS...``, in a third of the time.

With the conversions of ``warm_converter`` and the data of ``small_builtin``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from small_builtin import shrink
from warm_converter import WarmConverter

from nas.cli.app import main
from nas.export import tflite

if __name__ == "__main__":
    _, shared, address, *words = sys.argv
    tflite.run_process = WarmConverter(Path(shared), f"\0{address}")
    shrink(setattr)
    sys.argv = ["nas", *words]
    main()
