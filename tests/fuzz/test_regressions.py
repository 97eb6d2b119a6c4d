"""Inputs that once ended in a traceback, a hang or gigabytes; models are in ``test_damaged_models.py``."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image

from nas.ablation.study import parse_option
from nas.budget import load_mcu
from nas.cost.instructions import load_core
from nas.errors import DataError, InputError, RunFolderError, SpecError, ValidationError
from nas.files import read_bytes, read_json
from nas.harness.mlperf.runner import Runner
from nas.harness.mlperf.session import open_session
from nas.pipeline.compare import compare_runs
from nas.pipeline.data_check import check_data
from nas.pipeline.page import write_page
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import SearchOptions, plan_search
from nas.pipeline.study_plan import load_study
from nas.pipeline.teacher import require_teacher
from nas.space import load_space
from nas.space.lookup import find_architecture
from nas.submission.checker import check
from nas.tasks import TaskSettings, get_task, load_evaluation_folder
from nas.tasks.audio_files import read_recording
from nas.tasks.cifar10_pickle import read_pickle
from nas.tasks.pixel_cache import Room, read_image
from nas.tasks.waveform import read_wav

DIGITS = "9" * 5000  # more than Python reads as a number


@pytest.fixture
def run(reference: Path, tmp_path: Path) -> Path:
    """A finished run, to be edited."""
    folder = tmp_path / "run"
    (folder / "winner").mkdir(parents=True)
    for name in ("run.json", "result.json", "winner/arch.json", "winner/validation.json", "winner/model.tflite"):
        (folder / name).write_bytes((reference / name).read_bytes())
    return folder


def edit(path: Path, *keys: str, value: Any) -> None:
    """Put a value into a JSON file."""
    tree = json.loads(path.read_text())
    node = tree
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(tree))


def test_a_number_of_thousands_of_digits_is_text() -> None:
    assert parse_option(f"seed={DIGITS}") == ("seed", DIGITS)


def test_the_name_of_a_folder_with_line_breaks() -> None:
    with pytest.raises(InputError, match="is no trained run") as found:
        require_teacher("a\nb", get_task("kws"))
    assert str(found.value) == r"--teacher 'a\nb' is no trained run: there is no winner/weights.safetensors in it"


def test_winners_without_number() -> None:
    """Of each budget half of the one before; a run may ask for thousands of millions."""
    with pytest.raises(InputError, match="--pareto 2147483648 must be at most 16"):
        plan_search(SearchOptions("kws", flash="256KB", pareto=1 << 31))


def test_a_flag_with_line_breaks_is_quoted() -> None:
    with pytest.raises(InputError, match=r"--input '\\n\\n'"):
        _ = TaskSettings(input="\n\n").input_shape


@pytest.mark.parametrize(
    "text", [f"schema = {DIGITS}\n", f"schema = {'[' * 100_000}\n", "schema = 1\nname = '\ud800'\n"], ids=range(3)
)
def test_toml_that_no_reader_takes(tmp_path: Path, text: str) -> None:
    (tmp_path / "toy.toml").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(SpecError, match=r"toy\.toml: (not TOML|cannot be read)"):
        load_space(tmp_path / "toy.toml")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_core_with_numbers_that_are_none(checkout: Path, tmp_path: Path, number: str) -> None:
    text = (checkout / "constraints" / "cores" / "cortex-m4.toml").read_text()
    (tmp_path / "cortex-m4.toml").write_text(text.replace("calls = ", f"calls = {number} # ", 1))
    with pytest.raises(SpecError, match="finite number"):
        load_core(str(tmp_path / "cortex-m4.toml"))


def test_a_study_with_a_list_in_place_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('schema = 1\nname = "one"\nfactors = { engine = [1, 2] }\n')
    with pytest.raises(SpecError, match=r"factors\.engine"):
        load_study(str(tmp_path / "one.toml"))


@pytest.mark.parametrize(
    "more", ["seeds = 1000000000", f"factors = {{{', '.join(f'f{n} = {{a = {{}}, b = {{}}}}' for n in range(30))}}}"]
)
def test_a_study_of_a_thousand_million_runs(tmp_path: Path, more: str) -> None:
    factors = "" if "factors" in more else "\nfactors = { engine = { a = {}, b = {} } }"
    (tmp_path / "one.toml").write_text(f'schema = 1\nname = "one"\n{more}{factors}\n')
    with pytest.raises(SpecError, match=r"1,?000"):
        load_study(str(tmp_path / "one.toml"))


def test_a_network_for_an_image_of_a_kilometre(reference: Path, tmp_path: Path) -> None:
    data = json.loads((reference / "winner" / "arch.json").read_text()) | {"input_shape": [10**9, 10, 1]}
    (tmp_path / "arch.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="input_shape"):
        find_architecture(str(tmp_path / "arch.json"))


@pytest.mark.parametrize(
    "edit", [{"kernel": [10**400, 4]}, {"stride": [1e308, 2]}, {"width": 10**9}, {"classes": 10**400}]
)
def test_a_network_of_sizes_that_no_float_holds(reference: Path, tmp_path: Path, edit: dict[str, Any]) -> None:
    data = json.loads((reference / "winner" / "arch.json").read_text())
    (data if "classes" in edit else data["blocks"][0]).update(edit)
    (tmp_path / "arch.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"not an architecture: ValueError at .* 1,048,576"):
        find_architecture(str(tmp_path / "arch.json"))


def test_a_space_with_a_kernel_that_no_float_holds(checkout: Path, tmp_path: Path) -> None:
    text = (checkout / "search_spaces" / "kws_ds_cnn.toml").read_text()
    (tmp_path / "toy.toml").write_text(re.sub(r"kernel = \[.*\]", f"kernel = [{10**18}, 3]", text, count=1))
    with pytest.raises(SpecError, match="kernel"):
        load_space(tmp_path / "toy.toml")


def test_a_constraint_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "mcu.toml").write_text("budget = 3\n")
    with pytest.raises(SpecError):
        load_mcu(str(tmp_path / "mcu.toml"))


@pytest.mark.parametrize("text", ["[" * 100_000, DIGITS, "\ud800", ""], ids=range(4))
def test_json_that_no_reader_takes(tmp_path: Path, text: str) -> None:
    (tmp_path / "arch.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(InputError, match=r"arch\.json: not JSON"):
        read_json(tmp_path / "arch.json")


@pytest.mark.parametrize("key", ["classes", "input_shape", "blocks"])
def test_a_network_with_an_infinite_size(reference: Path, tmp_path: Path, key: str) -> None:
    data = json.loads((reference / "winner" / "arch.json").read_text())
    infinite = {"classes": float("inf"), "input_shape": [float("inf"), 1, 1]}
    data[key] = infinite.get(key) or [{**data["blocks"][0], "width": float("inf")}]
    (tmp_path / "arch.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="not an architecture: OverflowError"):
        find_architecture(str(tmp_path / "arch.json"))


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is no file"):
        read_bytes(tmp_path / "pipe", DataError)


@pytest.mark.parametrize(
    ("keys", "value"),
    [(("winner",), 5), (("winner", "int8_score"), "high"), (("data",), []), (("search",), None), (("task",), [])],
)
def test_a_result_that_was_edited(run: Path, keys: tuple[str, ...], value: Any) -> None:
    edit(run / "result.json", *keys, value=value)
    if keys != ("task",):
        with pytest.raises(RunFolderError, match=r"result\.json: not as this version of nas writes it"):
            compare_runs([run, run])
    with pytest.raises(InputError):
        compare_runs([run, run.parent])


def test_a_page_of_a_result_that_was_edited(run: Path) -> None:
    edit(run / "result.json", "winner", "measured", value={})
    with pytest.raises(RunFolderError, match=r"result\.json: not as"):
        write_page(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(("key", "value"), [("seed", "one"), ("data", 5), ("start", 7), ("settings", "none")])
def test_a_request_that_was_edited(key: str, value: Any) -> None:
    asked = json.loads(json.dumps(SearchOptions("kws", flash="64KB", start=("run",)).to_json()))
    assert SearchOptions.from_json(asked, Path("run.json")).start == ("run",)
    with pytest.raises(RunFolderError, match=r"run\.json: request: "):
        SearchOptions.from_json({**asked, key: value}, Path("run.json"))


@pytest.mark.parametrize("place", [1 << 20, 1 << 27, (1 << 32) - 1])
def test_a_pickle_that_reserves_memory(tmp_path: Path, place: int) -> None:
    """Of ten bytes: 2 GB for the second."""
    (tmp_path / "test_batch").write_bytes(b"\x80\x02]r" + struct.pack("<I", place) + b".")
    with pytest.raises(DataError, match=rf"place {place:,} of its memo"):
        read_pickle(tmp_path / "test_batch")


def test_weights_that_are_cut_off(reference: Path, tmp_path: Path) -> None:
    from nas.pipeline.quantize import load as load_quantized

    path = tmp_path / "quantized.safetensors"
    path.write_bytes((reference / "winner" / path.name).read_bytes()[:1000])
    with pytest.raises(RunFolderError, match="no weights of this network"):
        load_quantized(path, find_architecture(str(reference)).graph)


def wav(rate: int) -> bytes:
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate % 2**32, 2, 16)
    return b"RIFF" + struct.pack("<I", 44) + b"WAVE" + header + b"data" + struct.pack("<I", 8) + bytes(8)


@pytest.mark.parametrize("rate", [1, 999, 2_000_003, 2**31 - 1])
def test_a_rate_that_no_microphone_has(tmp_path: Path, rate: int) -> None:
    """Resampling takes memory in proportion to it."""
    (tmp_path / "clip.wav").write_bytes(wav(rate))
    with pytest.raises(DataError, match=r"clip\.wav: (found .* Hz, expected 1,000 to|not a readable)"):
        read_recording(tmp_path / "clip.wav")


def test_a_header_that_claims_more_than_memory(tmp_path: Path) -> None:
    """A FLAC stream of 42 bytes says that 2^36 - 1 samples follow."""
    info = struct.pack(">HH6xQ16x", 4096, 4096, 16_000 << 44 | 15 << 36 | (1 << 36) - 1)
    (tmp_path / "clip.wav").write_bytes(b"fLaC" + struct.pack(">I", 0x80000022) + info)
    for read in (read_wav, read_recording):
        with pytest.raises(DataError, match=r"clip\.wav: (claims 68,719,476,735 samples in 42 bytes|not a readable)"):
            read(tmp_path / "clip.wav")


@pytest.mark.parametrize(("width", "height", "size"), [(9000, 9000, "9,000 x 9,000"), (1, 1 << 26, "1 x 67,108,864")])
def test_a_picture_of_more_pixels_than_memory(tmp_path: Path, width: int, height: int, size: str) -> None:
    """Or of so many rows: Pillow takes 12 bytes for each pixel of the narrowest, copy by copy."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(DataError, match=f"{size} pixels, at most 67,108,864 may be, 65,536 on a side"):
        read_image(tmp_path / "large.png", (8, 8, 3))


def test_threads_share_the_room_for_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each could have the most pixels: six threads took a gigabyte for some kilobytes."""
    path, room = tmp_path / "picture.png", Room(100)
    Image.new("RGB", (10, 8)).save(path)
    monkeypatch.setattr("nas.tasks.pixel_cache.ROOM", room)
    with ThreadPoolExecutor() as pool:
        with room.of(21):
            waiting = [pool.submit(read_image, path, (8, 8, 3)) for _ in range(3)]
            assert not wait(waiting, 0.3).done
        assert not wait(waiting, 20).not_done
    with room.of(100):
        pass


def test_a_picture_whose_pixels_begin_at_a_fraction(tmp_path: Path) -> None:
    """Of which Pillow says ``TypeError``."""
    image = io.BytesIO()
    Image.new("F", (9, 7)).save(image, "TIFF")
    damaged = image.getvalue().replace(b"\x11\x01\x04\x00", b"\x11\x01\x0b\x00")  # StripOffsets: LONG -> FLOAT
    assert damaged != image.getvalue()
    (tmp_path / "F.tiff").write_bytes(damaged)
    with pytest.raises(DataError, match=r"F\.tiff: not an image that can be read"):
        read_image(tmp_path / "F.tiff", (8, 8, 3))


def test_a_picture_that_takes_more_memory_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """76 bytes, of which a chunk claims 4 GB."""
    (tmp_path / "small.png").write_bytes(b"")
    monkeypatch.setattr(Image, "open", Mock(side_effect=MemoryError))
    with pytest.raises(DataError, match=r"small\.png: not an image that can be read \(MemoryError\)"):
        read_image(tmp_path / "small.png", (8, 8, 3))


@pytest.mark.parametrize(
    "line",
    [f"0.bin,{DIGITS},1", "0.bin,12,٣", "x" * 100_000, f"{'x' * 5000},12,1", "a\x00b,12,1", "..,12,1"],
    ids=range(6),
)
def test_a_line_of_a_list(tmp_path: Path, line: str) -> None:
    (tmp_path / "y_labels.csv").write_text(line + "\n")
    with pytest.raises(DataError) as refused:
        load_evaluation_folder(tmp_path, get_task("kws"))
    assert len(str(refused.value)) < 6000


@pytest.mark.parametrize("fields", ["2,1,10,0", "2,1,0,10", f"2,1,{DIGITS},1", "2,1,-1,5"], ids=range(4))
def test_pieces_without_length_or_stride(tmp_path: Path, fields: str) -> None:
    (tmp_path / "y_labels.csv").write_text(f"0.bin,{fields}\n")
    with pytest.raises(DataError, match="cannot read"):
        open_session(Runner(Line(b"")), tmp_path)


def test_folders_with_links_and_pipes(tmp_path: Path) -> None:
    """A link that leads to itself, and a pipe named as a sample."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(3):
            (tmp_path / label / f"{number}.png").write_bytes(bytes([number]))
        (tmp_path / label / "loop.png").symlink_to("loop.png")
        (tmp_path / label / "up").symlink_to("..")
        os.mkfifo(tmp_path / label / "pipe.png")
    checked = check_data("image", str(tmp_path), Reporter())
    assert checked.error is not None
    assert "not an image" in checked.error


@pytest.mark.parametrize(
    ("name", "text"),
    [("accuracy/results.txt", " Top 1% = 1.2.3\n"), ("accuracy/results.json", "[" * 100_000)],
    ids=["figure", "nesting"],
)
def test_a_submission_with_a_figure_that_is_none(tmp_path: Path, name: str, text: str) -> None:
    folder = tmp_path / "closed" / "me" / "results" / "board" / "kws"
    (folder / "accuracy").mkdir(parents=True)
    (folder / name).write_text(text)
    assert any(f"kws/{name}" in str(finding) for finding in check(tmp_path).findings)


class Line:
    """A device that says the same for ever."""

    def __init__(self, says: bytes) -> None:
        self.says = says

    def send(self, data: bytes) -> None:
        """Not heard."""

    def receive(self, seconds: float) -> bytes:
        if not self.says:
            raise ValidationError("gone")
        return self.says

    def close(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("says", [b"m-lap-us-1\r\n" * 1000, b"x" * 10_000], ids=["lines", "line"])
def test_an_answer_without_end(says: bytes) -> None:
    with pytest.raises(ValidationError, match="does not end"):
        Runner(Line(says)).ask("name")


def test_a_time_of_thousands_of_digits() -> None:
    says = f"m-lap-us-1\nm-lap-us-{DIGITS}\nm-results-[1,0]\nm-ready\n".encode()
    with pytest.raises(ValidationError, match="no times or no results"):
        Runner(Line(says)).infer(1, 0)


def test_a_meter_that_tells_thousands_of_digits() -> None:
    """An error in its thread would be seen by nobody."""
    from fuzzing.parse_protocol import listen

    with pytest.raises(ValidationError, match="does not answer"):
        listen(f"TimeStamp: {DIGITS}s 1ms\nevent {DIGITS} ris\n".encode(), gone=True)
