"""The same damage, guided by coverage of ``nas`` (Atheris, which is libFuzzer; it needs no part of the package)."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from fuzzing import campaign, mutation
from fuzzing.parser import Parser
from fuzzing.parsers import PARSERS

RSS_LIMIT_MB = 4096
ENDED = re.compile(r"[^A-Za-z0-9.]+")


def explore(names: Sequence[str], inputs: int, seed: int, out: Path) -> int:
    """Run parsers that take one file, each in a process of its own; the number of those that failed."""
    failed = 0
    for name in names:
        child = os.fork()
        if child == 0:
            _explore(name, inputs, seed, out / name)
        failed += os.waitpid(child, 0)[1] != 0 or any((out / name).glob("*"))
    return failed


def _explore(name: str, inputs: int, seed: int, out: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["nas"]):
        parser: Parser = PARSERS[name]()
        for files in parser.seeds:
            campaign.attempt(parser, files)
    if any(len(files) > 1 for files in parser.seeds):
        sys.exit(f"{name}: an input is a whole folder, which coverage cannot guide here")
    ((file, _),) = parser.seeds[0].items()

    def read(data: bytes) -> None:
        found = campaign.attempt(parser, {file: data})
        if found not in (campaign.ACCEPTED, campaign.REFUSED):
            folder = out / ENDED.sub("-", found[0])
            if not folder.exists():
                campaign.save({file: data}, folder)

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = Random(number)
        try:
            (changed,) = parser.make(rng, [{file: data}]).values()
        except Exception:  # no longer a file of its kind
            changed = mutation.mutate_bytes(rng, data, [])
        return changed[:most] if isinstance(changed, bytes) else data

    with tempfile.TemporaryDirectory() as corpus:
        for number, files in enumerate(parser.seeds):
            for content in files.values():
                Path(corpus, str(number)).write_bytes(content if isinstance(content, bytes) else b"")
        flags = [f"-runs={inputs}", f"-seed={seed + 1}", f"-rss_limit_mb={RSS_LIMIT_MB}", "-max_len=100000", corpus]
        atheris.Setup([sys.argv[0], *flags], read, custom_mutator=change)
        atheris.Fuzz()
