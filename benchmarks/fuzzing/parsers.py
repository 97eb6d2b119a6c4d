"""What is fuzzed: for each parser its real inputs, the damage that is done to them, and the call that reads them."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import shlex
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files, Mutator, Special

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


@dataclass(frozen=True)
class Parser:
    """One parser, with what it may take: ``fixed_bytes`` plus ``per_byte`` for each byte of an input."""

    seeds: list[Files]
    make: Callable[[Random, list[Files]], Files]
    read: Callable[[Path], object]
    fixed_bytes: int = 64 * MIB
    per_byte: int = 64
    seconds: float = 10.0
    """Of processor time for one input."""

    def input(self, rng: Random) -> Files:
        """One damaged input."""
        return self.make(rng, self.seeds)


def write(files: Files, folder: Path) -> None:
    """Put an input on the disk, as far as it can be there."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content.kind == "link":
                path.symlink_to(content.target)
            elif content.kind == "fifo":
                os.mkfifo(path)
            else:
                path.mkdir()
        except (OSError, ValueError):
            continue  # a name that is too long, or below what is no folder


def every(*calls: Callable[[], object]) -> None:
    """Make every call; one that refuses must not hide what the next one does. Refused: all of them."""
    from nas.errors import NasError

    refused: list[NasError] = []
    for call in calls:
        try:
            call()
        except NasError as error:
            require_short(error)
            refused.append(error)
    if len(refused) == len(calls):
        raise refused[0]


class LongMessageError(Exception):
    """An error of more lines than the user is promised."""


def require_short(error: Exception) -> None:
    """Hold a message against the contract of ``nas.errors``: one or two lines."""
    lines = str(error).split("\n")
    if len(lines) > 2 or max(map(len, lines)) > 20_000:
        raise LongMessageError(f"{len(lines)} lines, {max(map(len, lines))} characters: {str(error)[:100]!r}")


def single(
    seeds: dict[str, bytes] | list[dict[str, bytes]], change: Mutator, name: str | None = None
) -> tuple[list[Files], Callable[[Random, list[Files]], Files]]:
    """Inputs of one file each; its name is that of the seed."""
    found: list[Files] = [{key: value} for key, value in seeds.items()] if isinstance(seeds, dict) else list(seeds)
    every_one = [value for one in found for value in one.values()]

    def make(rng: Random, seeds: list[Files]) -> Files:
        ((key, value),) = rng.choice(seeds).items()
        return {name or key: change(rng, value, every_one)}  # type: ignore[arg-type]

    return found, make


def folders(seeds: list[Files], how: Callable[[str], Mutator]) -> tuple[list[Files], Callable[..., Files]]:
    """Inputs of many files."""
    return seeds, lambda rng, seeds: mutation.mutate_folder(rng, rng.choice(seeds), how)


def rarely(folder: Path, one_of: int) -> bool:
    """For what takes long: one of so many inputs, by what they hold."""
    content = b"".join(path.read_bytes()[:5000] for path in sorted(folder.rglob("*.json")) if path.is_file())
    return zlib.crc32(content) % one_of == 0


def only(folder: Path) -> Path:
    """The file of an input."""
    return next(folder.iterdir(), folder / "nothing")


# Text of flags ------------------------------------------------------------------------------------------------------


def units() -> Parser:
    """Sizes, op counts, durations, and other flags that hold a grammar of their own."""
    from nas import units as unit
    from nas.ablation.study import parse_factor, parse_option
    from nas.errors import InputError
    from nas.plan.placement import parse_planning
    from nas.tasks import TaskSettings, get_task
    from nas.tasks.keywords import parse_keywords

    pieces = (
        "0",
        "1",
        "256",
        "1_000",
        "-3",
        "+5",
        ".5",
        "1.5",
        "1e3",
        "9" * 400,
        "9" * 5000,
        " ",
        "\t",
        "\n",
        "٣",
        "²",
    )
    pieces += (
        "KB",
        "kB",
        "KiB",
        "MB",
        "B",
        "k",
        "M",
        "G",
        "s",
        "ms",
        "us",
        "m",
        "h",
        "d",
        "min",
        "inf",
        "nan",
        "x",
        "=",
    )
    pieces += (
        ",",
        "engine=",
        "flash=64KB",
        "dnas",
        "overlap",
        "cmsis-nn",
        "64x64x1",
        "yes",
        "'",
        "\x00",
        "\ud800",
        "é",
    )

    def make(rng: Random, seeds: list[Files]) -> Files:
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(5)))
        if rng.random() < 0.2:
            text = mutation.mutate_bytes(rng, text.encode(errors="replace"), []).decode(errors="surrogateescape")
        return {"text": text.encode(errors="surrogatepass")}

    def shown(parse: Callable[[str], Any], show: Callable[[Any], str], text: str) -> None:
        show(parse(text))

    def read(folder: Path) -> None:
        text = (folder / "text").read_bytes().decode(errors="surrogateescape")
        each = text.split(",")
        asked = [TaskSettings(clip=text), TaskSettings(window=text), TaskSettings(input=text)]
        every(
            lambda: shown(unit.parse_bytes, unit.format_bytes, text),
            lambda: shown(unit.parse_ops, unit.format_ops, text),
            lambda: shown(unit.parse_seconds, unit.format_seconds, text),
            lambda: shown(unit.parse_milliseconds, unit.format_figures, text),
            lambda: parse_factor(text),
            lambda: parse_option(text),
            lambda: parse_planning(text, text),
            lambda: parse_keywords(each),
            lambda: asked[2].input_shape,
            lambda: get_task(text),
            *(partial(get_task, "audio", None, one) for one in asked if InputError),
        )

    seeds: list[Files] = [{"text": one} for one in (b"256KB", b"30M", b"45m", b"200ms", b"64x64x1", b"engine=dnas,tpe")]
    return Parser(seeds, make, read)


# TOML ---------------------------------------------------------------------------------------------------------------


def _toml(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((ROOT / folder).glob("*.toml"))}


def spaces() -> Parser:
    """Search spaces: read, drawn from, and now and then priced as ``nas cost SPACE`` does."""
    from nas.pipeline.cost import find_cost
    from nas.space import load_space

    def read(folder: Path) -> None:
        path = only(folder)
        space = load_space(path)
        _ = space.size, space.decisions
        for network in (space.smallest(), space.largest(), space.sample(Random(0))):
            _ = network.graph, network.digest, network.summary()
        if zlib.crc32(path.read_bytes()) % 64 == 0:
            find_cost(str(path))

    return Parser(*single(_toml("search_spaces"), mutation.mutate_toml), read)


def constraints() -> Parser:
    """Microcontrollers, profiles and cores."""
    from nas.budget import load_mcu, make_budget
    from nas.cost.instructions import load_core, modelled_instructions
    from nas.space.lookup import find_architecture

    graph = find_architecture(str(ROOT / "exported/reference/kws-64kb")).graph
    modelled_instructions(graph)

    def read(folder: Path) -> None:
        from nas.cost.instructions import instructions

        path = str(only(folder))
        every(
            lambda: (load_mcu(path).limits().to_json(), make_budget(path)),
            lambda: instructions(graph, load_core.__wrapped__(path)),
        )

    return Parser(*single(_toml("constraints") | _toml("constraints/cores"), mutation.mutate_toml), read)


def studies() -> Parser:
    """Studies: read, and every arm formed."""
    from nas.pipeline.study_plan import load_study

    def read(folder: Path) -> None:
        load_study(str(only(folder))).arms()

    return Parser(*single(_toml("search_spaces/studies"), mutation.mutate_toml), read)


def recipes() -> Parser:
    """Recipes of training."""
    from nas.tasks import get_task
    from nas.training.recipe import load_recipe

    task = get_task("kws")
    return Parser(
        *single(_toml("search_spaces/recipes"), mutation.mutate_toml),
        lambda folder: load_recipe(task, str(only(folder))),
    )


# Runs ---------------------------------------------------------------------------------------------------------------


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


SUITED: dict[str, Mutator] = {
    ".json": mutation.mutate_json,
    ".jsonl": mutation.mutate_json_lines,
    ".png": mutation.mutate_png,
}


def _how(name: str) -> Mutator:
    """The damage that suits a file; bytes where it is no longer of its kind."""
    suited = SUITED.get(Path(name).suffix, mutation.mutate_bytes)

    def change(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        try:
            return suited(rng, data, others)
        except (ValueError, IndexError, RecursionError, struct.error):
            return mutation.mutate_bytes(rng, data, others)

    return change


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
    from unittest import mock

    from nas.engines.run_folder import RunFolder
    from nas.pipeline import search, submit
    from nas.pipeline.compare import compare_runs
    from nas.pipeline.cost import find_cost
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.tested import open_tested

    whole = _run_files()

    def read(folder: Path) -> None:
        run = RunFolder(folder)
        with mock.patch.object(search, "_carry_out", lambda run, plan, reporter: run.candidates()):
            every(
                lambda: compare_runs([folder, folder]),
                lambda: find_cost(str(folder)) if rarely(folder, 32) else None,
                lambda: search.resume_search(folder, Reporter()),
                lambda: open_tested(folder, "kws", None),
                lambda: submit._task(folder),
                lambda: (run.record(), run.candidates()),
            )

    return Parser(*folders([whole, _unfinished(whole)], _how), read)


def pages() -> Parser:
    """``nas report`` on run folders; pictures are not drawn."""
    from unittest import mock

    from nas.pipeline import page

    price, priced = page.find_cost, page.find_cost(str(ROOT / "exported/reference/kws-64kb"))

    def read(folder: Path) -> None:
        with (
            mock.patch.object(page, "find_cost", price if rarely(folder, 64) else lambda _: priced),
            mock.patch.object(page, "render_memory_plot", return_value=b"<svg/>"),
            mock.patch.object(page, "plot_search", return_value=b"<svg/>"),
        ):
            page.write_page(folder)

    return Parser(*folders([_run_files()], _how), read)


# Models -------------------------------------------------------------------------------------------------------------


C_MODELS = ("offline_plan.tflite", "int4.tflite", "uint8_io.tflite", "model.tflite", "kws_ref_model.tflite")
"""Files for which there is C code, and some that come near it."""


def _models(largest: int) -> dict[str, bytes]:
    """Small files of every kind of operator, and real ones where there are any."""
    paths = sorted((ROOT / "tests/data/models").glob("*.tflite"))
    shared = Path(os.environ.get("NAS_SHARED_DATA", ROOT.parent / "shared" / "data")) / "models"
    paths += [ROOT / "exported/reference/kws-64kb/winner/model.tflite", *sorted(shared.glob("*.tflite"))]
    return {path.name: data for path in paths if len(data := path.read_bytes()) <= largest}


def tflite() -> Parser:
    """Readers of ``.tflite`` files: costs, slimming, details of inputs and outputs, the size of the arena."""
    from nas.cost.file_cost import report
    from nas.export.flatbuffer import input_detail, output_detail
    from nas.export.model_reader import read_model
    from nas.export.offline_plan import with_offline_plan
    from nas.export.savings import dropped_bytes
    from nas.export.slim import slim
    from nas.harness.tflm import ample_arena_bytes

    def read(folder: Path) -> None:
        data = only(folder).read_bytes()
        every(
            lambda: report(read_model(data)),
            lambda: dropped_bytes(data, slim(data)),
            lambda: (input_detail(data), output_detail(data)),
            lambda: ample_arena_bytes(data),
            lambda: with_offline_plan(data, None),
        )

    return Parser(*single(_models(80_000), mutation.mutate_flatbuffer), read)


def plans() -> Parser:
    """Memory plans of ``.tflite`` files, replayed byte by byte, and the plans that stand in them."""
    from nas.export.model_reader import read_model
    from nas.pipeline.plan import check_file, with_plan
    from nas.plan.placement import DEFAULT_PLANNING, Kernels

    def read(folder: Path) -> None:
        path = only(folder)
        data = path.read_bytes()
        every(
            lambda: with_plan(data, DEFAULT_PLANNING),
            lambda: check_file(path, [Kernels.REFERENCE]),
            lambda: read_model(data),
        )

    return Parser(*single(_models(6_000), mutation.mutate_flatbuffer), read, fixed_bytes=512 * MIB)


def c_source() -> Parser:
    """``nas export --c``: C code of ``.tflite`` files."""
    from nas.export.c.emit import write_c
    from nas.export.c.program import make_program

    def read(folder: Path) -> None:
        write_c(make_program(only(folder).read_bytes(), "model"), folder / "c")

    kept = {name: data for name, data in _models(80_000).items() if name in C_MODELS}
    return Parser(*single(kept, mutation.mutate_flatbuffer), read)


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


# Sounds, pictures, evaluation files -------------------------------------------------------------------------------


def _wav(seconds: float = 0.05, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16", seed: int = 0) -> bytes:
    import numpy as np
    import soundfile

    noise = np.random.default_rng(seed).normal(0, 0.2, (round(seconds * rate), channels)).clip(-1, 1)
    out = io.BytesIO()
    soundfile.write(out, noise, rate, format="WAV", subtype=subtype)
    return out.getvalue()


def _sounds() -> dict[str, bytes]:
    import numpy as np
    import soundfile

    found = {
        f"{kind}.wav": _wav(subtype=kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "IMA_ADPCM")
    }
    found |= {"stereo.wav": _wav(channels=2), "slow.wav": _wav(rate=8000), "none.wav": _wav(seconds=0)}
    for kind in ("FLAC", "OGG", "W64", "RF64", "AIFF", "CAF"):
        out = io.BytesIO()
        soundfile.write(out, np.zeros(800, np.float32), 16_000, format=kind)
        found[f"{kind}.wav"] = out.getvalue()
    floats = np.frombuffer(found["FLOAT.wav"], np.uint8).copy()
    floats[-8:] = [0, 0, 0xC0, 0x7F, 0, 0, 0x80, 0x7F]  # NaN, infinity
    return found | {"nan.wav": floats.tobytes()}


def wavs() -> Parser:
    """Single recordings, as Speech Commands and as the user's own."""
    from nas.tasks.audio_files import count_longer, fit, read_recording
    from nas.tasks.waveform import fixed_length, read_wav

    def read(folder: Path) -> None:
        path = only(folder)
        count_longer([path], 16_000)
        every(lambda: fixed_length([read_wav(path)]), lambda: fit(read_recording(path), 16_000))

    return Parser(*single(_sounds(), mutation.mutate_bytes), read)


def _image(mode: str, kind: str, size: tuple[int, int] = (9, 7), **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    image = Image.effect_noise(size, 60).convert("RGB").convert(mode) if mode != "I;16" else Image.new(mode, size, 300)
    image.save(out, kind, **options)
    return out.getvalue()


def _pictures() -> dict[str, bytes]:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    found = {
        f"{mode.replace(';', '')}.png": _image(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    }
    found |= {
        f"RGB.{kind.lower()}": _image("RGB", kind) for kind in ("BMP", "GIF", "WEBP", "TIFF", "PPM", "TGA", "ICO")
    }
    found |= {
        "L.jpg": _image("L", "JPEG"),
        "turned.jpg": _image("RGB", "JPEG", exif=exif),
        "F.tiff": _image("F", "TIFF"),
    }
    return found | {"clear.png": _image("P", "PNG", transparency=1), "CMYK.jpg": _image("CMYK", "JPEG")}


def images() -> Parser:
    """Single pictures, in colour and grey."""
    from nas.tasks.pixel_cache import decode_image, read_image

    def read(folder: Path) -> None:
        path = only(folder)
        every(lambda: decode_image(path, "RGB"), lambda: read_image(path, (8, 8, 1)))

    return Parser(*single(_pictures(), mutation.mutate_png), read, fixed_bytes=PIXELS)


def _batch(count: int = 3, protocol: int = 2) -> bytes:
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 255, (count, 3072), np.uint8)
    names = [f"{n}.png".encode() for n in range(count)]
    content = {b"batch_label": b"x", b"labels": list(range(count)), b"data": pixels, b"filenames": names}
    return pickle.dumps(content, protocol)


def _pickle(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Opcodes of pickles that take a length or a place, besides bytes."""
    if rng.random() < 0.5:
        return mutation.mutate_bytes(rng, data, others)
    size = rng.choice((0, 1, 255, 2**16, 2**24, 2**31 - 1, 2**32 - 1))
    ops = (b"r" + struct.pack("<I", size), b"B" + struct.pack("<I", size), b"\x8e" + struct.pack("<Q", size * 2**20))
    ops += (b"\x8a\xff", b"\x8b" + struct.pack("<i", size - 2**31), b"T" + struct.pack("<I", size), b"2", b"0", b"1")
    ops += (
        b"(" * 10_000,
        b"]" * 10_000 + b"a" * 9_999,
        b"cos\nsystem\n",
        b"cnumpy\ndtype\n",
        b"q\x00",
        b"h\x00",
        b"R",
        b"b",
    )
    ops += (
        b"I" + b"9" * 5000 + b"\n",
        b"L" + b"9" * 5000 + b"L\n",
        b"p4294967295\n",
        b"p999999999\n",
        b"e",
        b"u",
        b"s",
        b".",
    )
    at = rng.randrange(2, len(data))
    return data[:at] + rng.choice(ops) + data[at + rng.choice((0, 0, 1, 5)) :]


def cifar() -> Parser:
    """Batches of CIFAR-10, which are pickles, and the names of the classes."""
    from nas.tasks.cifar10 import META_FILE, _check_classes, read_batch

    seeds = {"two": _batch(), "three": _batch(protocol=3), "five": _batch(protocol=5), "text": _batch(1, 0)}
    seeds["names"] = pickle.dumps({b"label_names": [b"airplane", b"automobile"]}, 2)

    def read(folder: Path) -> None:
        only(folder).rename(folder / META_FILE)
        every(lambda: read_batch(folder / META_FILE), lambda: _check_classes(folder))

    return Parser(*single(seeds, _pickle), read)


def evaluation() -> Parser:
    """The benchmark's lists and samples, as a validation, ``nas data check`` and the runner read them."""
    import numpy as np

    from nas.harness.mlperf.runner import DirectLink, Runner
    from nas.harness.mlperf.session import open_session
    from nas.pipeline.data_check import check_data
    from nas.pipeline.reporter import Reporter
    from nas.tasks import get_task, load_evaluation_folder

    words: Files = {f"{n}.bin": bytes(range(245)) * 2 for n in range(4)}
    words["y_labels.csv"] = b"".join(f"{n}.bin,12,{n}\n".encode() for n in range(4))
    names = [f"{kind}_id_01_0000000{n}_hist_librosa.bin" for n, kind in enumerate(("normal", "anomaly"))]
    machines: Files = {name: np.zeros((200, 128), "<f4").tobytes() for name in names}
    machines["y_labels.csv"] = "".join(f"{name},2,{n},2560,512\n" for n, name in enumerate(names)).encode()
    kws, ad = get_task("kws"), get_task("ad")

    def read(folder: Path) -> None:
        session = None

        def listed() -> None:
            nonlocal session
            session = open_session(Runner(DirectLink(make_device())), folder)
            for entry in session.entries:
                for piece in itertools.islice(entry.pieces(session._read(entry)), 3):
                    assert len(piece) <= 10**6

        every(
            listed,
            lambda: load_evaluation_folder(folder, kws),
            lambda: load_evaluation_folder(folder, ad),
            lambda: check_data("kws", str(folder), Reporter()),
            lambda: check_data("ad", str(folder), Reporter()),
        )

    return Parser(*folders([words, machines], _how), read)


def _data(task: str, files: Files) -> Parser:
    from nas.pipeline.data_check import check_data
    from nas.pipeline.reporter import Reporter

    def read(folder: Path) -> None:
        check_data(task, str(folder), Reporter())

    read_too = _loaders(task)
    return Parser(
        *folders([files], _how),
        lambda folder: every(lambda: read(folder), lambda: read_too(folder)),
        fixed_bytes=PIXELS if task in ("image", "vww") else 128 * MIB,
    )


def _loaders(task: str) -> Callable[[Path], object]:
    """What a search calls before it reads samples."""
    from nas.tasks import audio_folders, image_folders, toycar
    from nas.tasks.keyword_recordings import find_recordings
    from nas.tasks.speech_commands import take_inventory

    loaders: dict[str, Callable[[Path], object]] = {
        "kws": lambda folder: every(
            lambda: take_inventory(folder), lambda: find_recordings(folder, ("yes", "no", "silence", "unknown"))
        ),
        "audio": lambda folder: audio_folders.read_sounds(audio_folders.read_folder(folder), 16_000),
        "ad": lambda folder: toycar.read_clips(toycar.take_inventory(folder).test, "", None),
    }
    return loaders.get(task, image_folders.find_classes)


def speech_folders() -> Parser:
    """``nas data check kws`` on folders in the layout of Speech Commands."""
    from nas.tasks.speech_commands import KEYWORDS, LISTS

    words = (*KEYWORDS, "bed")
    files: Files = {f"{word}/{n}.wav": _wav(0.02, seed=n) for word in words for n in range(3)}
    for split, name in enumerate(LISTS.values(), 1):
        files[name] = "".join(f"{word}/{split}.wav\n" for word in words).encode()
    return _data("kws", files | {"_background_noise_/hum.wav": _wav(1.5)})


def sound_folders() -> Parser:
    """``nas data check audio`` on a user's own folders."""
    files: Files = {
        f"{name}/{n}.wav": _wav(0.02, seed=n + 7 * len(name)) for name in ("dog", "glass") for n in range(12)
    }
    files |= {
        "dog/slow.wav": _wav(rate=8000),
        "_background_noise_/hum.wav": _wav(1.1),
        "dog/float.wav": _sounds()["nan.wav"],
    }
    return _data("audio", files)


def image_folders() -> Parser:
    """``nas data check image`` on a user's own folders."""
    pictures = list(_pictures().items())
    files: Files = {
        f"{label}/{n}{name}": data for n, (name, data) in enumerate(pictures[:8]) for label in ("cat", "dog")
    }
    files |= {f"cat/sub/{n}.png": _image("RGB", "PNG", (n + 3, 4)) for n in range(3)}
    return _data("image", files | {f"dog/{n}.png": _image("RGB", "PNG", (n + 3, 5)) for n in range(3)})


def machine_folders() -> Parser:
    """``nas data check ad`` on folders in the layout of DCASE."""
    import numpy as np

    noise = np.random.default_rng(0).normal(size=(200, 128)).astype("<f4").tobytes()
    files: Files = {f"train/normal_id_01_0000000{n}_hist_librosa.bin": noise for n in range(2)}
    files |= {f"test/{kind}_id_02_00000001_hist_librosa.bin": noise for kind in ("normal", "anomaly")}
    return _data("ad", files | {"test/normal_id_01_00000003.wav": _wav(0.5)})


# Protocol -----------------------------------------------------------------------------------------------------------


class _Network:
    """Of four bytes."""

    input_bytes = 4

    def load(self, data: bytes) -> None:
        """Nothing is kept."""

    def infer(self) -> None:
        """Nothing is run."""

    def results(self) -> list[float]:
        """Two classes."""
        return [0.25, 0.75]


def make_device() -> Any:
    """A device whose clock goes on by a millisecond at every look."""
    from nas.harness.mlperf.device import Device

    clock = itertools.count(0, 1000)
    return Device("kws01", _Network(), lambda: next(clock))


COMMANDS = (
    b"name",
    b"timestamp",
    b"profile",
    b"help",
    b"db",
    b"db load 4",
    b"db load -1",
    b"db load 99999999999999999999",
)
COMMANDS += (
    b"db 0a0b",
    b"db zz",
    b"db 0",
    b"db print",
    b"infer 1",
    b"infer 3 2",
    b"infer -1",
    b"infer 9 -9",
    b"results",
)
COMMANDS += (
    b"infer 9999999999",
    b"",
    b" ",
    b"%",
    b"db load",
    b"db print 9",
    b"\xff\xfe",
    b"db " + b"ab" * 60,
    b"infer x y",
)


def device() -> Parser:
    """What a host sends to the device under test, in pieces of any size."""

    def make(rng: Random, seeds: list[Files]) -> Files:
        text = b"%".join(rng.choice(COMMANDS) for _ in range(rng.randrange(1, 12))) + b"%"
        return {"wire": mutation.mutate_bytes(rng, text, COMMANDS) if rng.random() < 0.6 else text}

    def read(folder: Path) -> None:
        data, one = (folder / "wire").read_bytes(), make_device()
        one.boot()
        for start in range(0, len(data), 7):
            answer = one.receive(data[start : start + 7])
            assert len(answer) < 10**6, "an answer of a megabyte"
        assert one.receive(b"%name%").endswith(b"m-name-dut-[nas]\r\nm-ready\r\n"), (
            "the device does not answer any more"
        )

    return Parser([{"wire": b"name%db load 4%db 01020304%infer 1%results%"}], make, read)


class _Recorded:
    """A line on which certain bytes come, and then no more, or the same for ever."""

    def __init__(self, data: bytes, endless: bool) -> None:
        self.data, self.endless, self.at = data, endless, 0

    def send(self, data: bytes) -> None:
        """Nobody listens."""

    def receive(self, seconds: float) -> bytes:
        """Up to 64 bytes; a device that says no more has gone."""
        from nas.errors import ValidationError

        if self.at >= len(self.data):
            if not self.endless or not self.data:
                raise ValidationError("the device is gone")
            self.at = 0
        self.at += 64
        return self.data[self.at - 64 : self.at]

    def close(self) -> None:
        """Nothing to do."""


def _conversation() -> bytes:
    """What a sound device answers to a runner."""
    from nas.harness.mlperf.runner import DirectLink, Runner

    link = DirectLink(make_device())
    heard = []
    receive = link.receive
    link.receive = lambda seconds: (heard.append(part := receive(seconds)), part)[1]  # type: ignore[method-assign]
    runner = Runner(link)
    runner.identify()
    runner.load(b"\x01\x02\x03\x04")
    runner.infer(1, 1)
    return b"".join(heard)


def runner() -> Parser:
    """What a device answers to the runner: lines that are damaged, missing, or never end."""
    from nas.harness.mlperf.runner import Runner

    def make(rng: Random, seeds: list[Files]) -> Files:
        heard = seeds[0]["answers"]
        assert isinstance(heard, bytes)
        lines = heard.splitlines(keepends=True)
        odd = [b"m-lap-us-" + b"9" * 5000 + b"\n", b"m-results-[nan]\n", b"m-results-[]\n", b"e-[no]\n", b"m-ready\n"]
        odd += [
            b"m-lap-us-5\n",
            b"m-results-[1,2,x]\n",
            b"m-results-[1e999,0]\n",
            b"\xff\n",
            b"m-lap-us--1\n",
            b"m-load-done\n",
        ]
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(lines))
            lines[at : at + rng.randrange(2)] = [rng.choice((*odd, *lines))]
        data = b"".join(lines)
        name = "endless" if rng.random() < 0.02 else "answers"
        return {name: mutation.mutate_bytes(rng, data, lines) if rng.random() < 0.4 else data}

    def read(folder: Path) -> None:
        path = only(folder)
        one = Runner(_Recorded(path.read_bytes(), path.name == "endless"))
        every(
            lambda: one.ask("name"),
            lambda: one.ask("profile"),
            lambda: one.load(b"\x01\x02\x03\x04"),
            lambda: one.infer(1, 1),
            lambda: one.infer(2, 1),
        )

    return Parser([{"answers": _conversation()}], make, read)


def meter() -> Parser:
    """What a power meter tells."""
    from nas.harness.mlperf.meter import Lpm01a

    lines = [
        b"9410-08\n",
        b"9410-089410-08\n",
        b"TimeStamp: 001s 005ms, buff 00%\n",
        b"event 5 ris\n",
        b"event 6 falling\n",
    ]
    lines += [b"PowerShield > ack start\n", b"error\n", b"\xff\n", b"event " + b"9" * 5000 + b" ris\n", b"9999+99\n"]
    lines += [b"TimeStamp: " + b"9" * 5000 + b"s 1ms\n", b"TimeStamp: 1s " + b"9" * 5000 + b"ms\n", b"0000-99\n"]

    def make(rng: Random, seeds: list[Files]) -> Files:
        data = b"".join(rng.choice(lines) for _ in range(rng.randrange(1, 20)))
        return {"told": mutation.mutate_bytes(rng, data, lines) if rng.random() < 0.5 else data}

    def read(folder: Path) -> None:
        _listen(Lpm01a.__new__(Lpm01a), (folder / "told").read_bytes())

    return Parser([{"told": b"".join(lines[:5])}], make, read)


def _listen(one: Any, data: bytes) -> None:
    """What its thread does, in this one: an error there would be lost."""
    import threading

    from nas.harness.mlperf.meter import Recording

    one._link, one.volts, one._rest, one._told = _Recorded(data, endless=False), 3.0, b"", []
    one._ready, one._recording, one._failed = threading.Condition(), Recording(), ""
    one._second, one._closed = None, False
    one._read()
    one.take()


# Submissions --------------------------------------------------------------------------------------------------------


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
    return Parser(*folders([files, closed], _how), lambda folder: [str(one) for one in check(folder).findings])


PIXELS = 640 * MIB
"""A picture of the most pixels that are read, in its own mode and as RGB."""

PARSERS: dict[str, Callable[[], Parser]] = {
    "units": units,
    "spaces": spaces,
    "constraints": constraints,
    "studies": studies,
    "recipes": recipes,
    "networks": networks,
    "runs": runs,
    "pages": pages,
    "tflite": tflite,
    "plans": plans,
    "c": c_source,
    "weights": weights,
    "wavs": wavs,
    "images": images,
    "cifar": cifar,
    "evaluation": evaluation,
    "speech-folders": speech_folders,
    "sound-folders": sound_folders,
    "image-folders": image_folders,
    "machine-folders": machine_folders,
    "device": device,
    "runner": runner,
    "meter": meter,
    "submissions": submissions,
}

__all__ = ["PARSERS", "Files", "Parser", "Special", "every", "shlex", "write"]
