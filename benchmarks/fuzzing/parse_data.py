"""Data sets: sounds, pictures, CIFAR-10, the benchmark's evaluation files, and folders of them."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import mutation
from fuzzing.mutation import Files
from fuzzing.parse_protocol import make_device
from fuzzing.parser import MIB, Parser, every, folders, only, replaced, single, suited

PIXELS = 20 * (1 << 26)
"""A picture of the most pixels that are read: 10 to 12 bytes for each in its own mode, as RGB and as an array; 18 of
WebP, whose decoder takes 12."""


def _wav(seconds: float = 0.05, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16", seed: int = 0) -> bytes:
    import numpy as np
    import soundfile

    noise = np.random.default_rng(seed).normal(0, 0.2, (round(seconds * rate), channels)).clip(-1, 1)
    out = io.BytesIO()
    soundfile.write(out, noise, rate, format="WAV", subtype=subtype)
    return _undated(out.getvalue())


def _undated(sound: bytes) -> bytes:
    """Without the time and the number by chance that libsndfile writes into some headers: inputs follow from a seed."""
    if (at := sound.find(b"PEAK")) > 0:
        return sound[: at + 12] + bytes(4) + sound[at + 16 :]
    if not sound.startswith(b"OggS"):
        return sound
    at, pages = 0, []
    while at < len(sound):
        segments = sound[at + 26]
        end = at + 27 + segments + sum(sound[at + 27 : at + 27 + segments])
        page = sound[at : at + 14] + bytes(4) + sound[at + 18 : at + 22] + bytes(4) + sound[at + 26 : end]
        pages.append(page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:])
        at = end
    return b"".join(pages)


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


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
        found[f"{kind}.wav"] = _undated(out.getvalue())
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
    from nas.tasks.pixel_cache import read_image

    def read(folder: Path) -> None:
        path = only(folder)
        every(lambda: read_image(path, (9, 9, 3)), lambda: read_image(path, (8, 8, 1)))

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

    return Parser(*folders([words, machines], suited), _mostly_in_order(read))


class _InOrder:
    """A pool without threads: to start them takes longer than to read files as small as ours."""

    def __init__(self, *_: Any) -> None:
        self.map = map

    def __enter__(self) -> _InOrder:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _mostly_in_order(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Files are read by threads for one input of 16, as the bytes of all its files have it."""
    from nas.tasks import audio_files, waveform
    from nas.tasks.inventory import items

    places = [(module, "ThreadPoolExecutor", _InOrder) for module in (audio_files, waveform, items)]

    def run(folder: Path) -> None:
        found = (os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(folder) for name in names)
        with contextlib.nullcontext() if sum(found) % 16 == 0 else replaced(*places):
            read(folder)

    return run


def _data(task: str, files: Files) -> Parser:
    from nas.pipeline.data_check import check_data
    from nas.pipeline.reporter import Reporter

    def read(folder: Path) -> None:
        check_data(task, str(folder), Reporter())

    read_too = _loaders(task)
    return Parser(
        *folders([files], suited),
        _mostly_in_order(lambda folder: every(lambda: read(folder), lambda: read_too(folder))),
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
