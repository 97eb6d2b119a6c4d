"""Run folders, what lies in them, and submissions."""

from __future__ import annotations

import contextlib
import functools
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files
from fuzzing.parse_models import Unpacked
from fuzzing.parser import ROOT, Parser, every, folders, only, rarely, replaced, single, suited


def _arch() -> bytes:
    return (ROOT / "exported/reference/kws-64kb/winner/arch.json").read_bytes()


def networks() -> Parser:
    """``arch.json``: read, and now and then priced as ``nas cost ARCH.json`` does."""
    from nas.pipeline.cost import find_cost
    from nas.space.lookup import find_architecture, load_space

    seeds = {"arch.json": _arch()}
    for space in ("ad_autoencoder", "ic_resnet", "kws_broadcast", "vww_mobilenet"):
        seeds[f"{space}.json"] = json.dumps(load_space(space).smallest().to_json()).encode()

    def read(folder: Path) -> None:
        path = only(folder)
        network = find_architecture(str(path))
        _ = network.digest, network.summary()
        if zlib.crc32(path.read_bytes()) % 16 == 0:
            find_cost(str(path))

    return Parser(*single(seeds, mutation.mutate_json), read)


def _run_files() -> Files:
    folder = ROOT / "exported/reference/kws-64kb"
    names = ("run.json", "result.json", "winner/arch.json", "winner/validation.json")
    files: Files = {name: (folder / name).read_bytes() for name in names}
    files["winner/model.tflite"] = (ROOT / "tests/data/models/residual_concat.tflite").read_bytes()
    one = {"number": 0, "score": 0.5, "seconds": 1.0, "pruned": False, "intermediate": [0.25], "architecture": None}
    one |= {"cost": {"flash_bytes": 1, "sram_bytes": 2, "ops": 3}, "architecture": json.loads(_arch())}
    files["candidates.jsonl"] = b"".join(json.dumps({**one, "number": n}).encode() + b"\n" for n in range(3))
    return files


def _unfinished(files: Files) -> Files:
    from nas.pipeline.request import SearchOptions
    from nas.space import load_space

    record = json.loads(files["run.json"]) | {"status": "searching"}  # type: ignore[arg-type]
    asked = SearchOptions("kws", space="kws_ds_cnn", flash="256KB").to_json()
    record |= {"request": asked, "space": {"sha256": load_space("kws_ds_cnn").sha256}}
    return {name: content for name, content in files.items() if name != "result.json"} | {
        "run.json": json.dumps(record).encode()
    }


def runs() -> Parser:
    """Run folders with the commands that read them: compare, cost, resume, validate, submit; nothing is trained."""
    import pydantic

    from nas.engines.run_folder import RunFolder
    from nas.pipeline import request, search, submit
    from nas.pipeline.compare import compare_runs
    from nas.pipeline.cost import find_cost
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.tested import open_tested

    whole, unpacked = _run_files(), Unpacked()
    once = functools.cache(request.TypeAdapter)  # of two classes of ours
    quick = [(search, "_carry_out", lambda run, plan, reporter: run.candidates())]
    quick += [(request, "TypeAdapter", once), (pydantic, "TypeAdapter", once)]

    def read(folder: Path) -> None:
        run = RunFolder(folder)
        with replaced(*quick), unpacked.reading():
            every(
                lambda: compare_runs([folder, folder]),
                lambda: find_cost(str(folder)) if rarely(folder, 32) else None,
                lambda: search.resume_search(folder, Reporter()),
                lambda: open_tested(folder, "kws", None),
                lambda: submit._task(folder),
                lambda: (run.record(), run.candidates()),
            )

    return Parser(*folders([whole, _unfinished(whole)], suited), read)


def pages() -> Parser:
    """``nas report`` on run folders; for one input of 64, pictures are drawn and models priced.

    What is the same for all runs, templates and spaces of the package, is read once for the others.
    """
    import jinja2

    from nas.pipeline import page

    priced = page.find_cost(str(ROOT / "exported/reference/kws-64kb"))
    environment, shared = jinja2.Environment, list[jinja2.Environment]()

    def share(**options: Any) -> jinja2.Environment:
        if not shared:
            shared.append(environment(**options))
        return shared[0]

    quick: list[tuple[Any, str, Any]] = [(page, "find_cost", lambda _: priced), (jinja2, "Environment", share)]
    quick += [(page, "load_space", functools.cache(page.load_space))]
    quick += [(page, name, lambda *_: b"<svg/>") for name in ("render_memory_plot", "plot_search", "plot_published")]

    def read(folder: Path) -> None:
        with contextlib.nullcontext() if rarely(folder, 64) else replaced(*quick):
            page.write_page(folder)

    return Parser(*folders([_run_files()], suited), read)


def weights() -> Parser:
    """``quantized.safetensors`` of a run."""
    from nas.models.quantized import QuantizedNetwork  # noqa: F401  torch, before processes part
    from nas.pipeline.quantize import load
    from nas.space.lookup import find_architecture

    folder = ROOT / "exported/reference/kws-64kb/winner"
    graph = find_architecture(str(folder.parent)).graph
    content = (folder / "quantized.safetensors").read_bytes()

    def change(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        (size,) = struct.unpack_from("<Q", data)
        if rng.random() < 0.4:
            return mutation.mutate_bytes(rng, data, others)
        header = mutation.mutate_json(rng, data[8 : 8 + size], others)
        return struct.pack("<Q", len(header)) + header + data[8 + size :]

    return Parser(
        *single({"quantized.safetensors": content}, change), lambda folder: load(only(folder), graph), per_byte=64
    )


def submissions() -> Parser:
    """Trees that ``nas submit --check`` looks at."""
    from nas.submission import rules
    from nas.submission.checker import check

    rows = json.dumps([{"class": 1, "infer": {"results": [[0.1, 0.9]]}}] * 3).encode()
    windows = "".join(f"    Runtime: 10.{n} sec.\n    Throughput: 12.{n} inf./sec.\n" for n in range(5))
    trials = "".join(f"  Elapsed time  : 10.{n}\n a\n b\n c\n  Energy/Inf    : 3.5 uJ/inf\n" for n in range(5))
    wake = "Estimated throughput: 4 inf./sec.\nAccuracy: 48 True positives, 2 False negatives, 3 False positives\n"
    texts = {
        "kws/accuracy": " Top 1% = 90.5\n",
        "kws/performance": f"{windows} Median throughput is     12.200 inf./sec.\n",
        "kws/energy": f"{trials}Median energy cost is 3.5000 uJ/inf.\n",
        "ad/accuracy": " AUC = 0.9\n",
        "ad/performance": "ERROR 5 no\n",
        "sww/performance": f"{wake}Average duty cycle: 0.1\n",
    }
    root = "open/me"
    files: Files = {f"{root}/README.md": b"how\n", f"{root}/systems/checklist.md": b"yes\n"}
    files[f"{root}/systems/board.json"] = json.dumps(
        dict.fromkeys(rules.SYSTEM_KEYS, "none") | {"Submitter": "me", "Division": "open", "Status": "RDI"}
    ).encode()
    for place, text in texts.items():
        files[f"{root}/results/board/{place}/results.txt"] = text.encode()
        files[f"{root}/results/board/{place}/results.json"] = rows
        files[f"{root}/results/board/{place}/log.txt"] = b"m-ready\n"
    files |= {f"{root}/code/{name}/net/README.md": b"how\n" for name in ("kws", "ad", "sww")}
    closed = {name.replace("open", "closed", 1): content for name, content in files.items()}
    return Parser(*folders([files, closed], suited), lambda folder: [str(one) for one in check(folder).findings])
