"""Anomaly detection: the layout of the data, pieces of clips, what is done without anomalies, the official files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.tasks import get_task, load_evaluation_folder
from nas.tasks.ad import AnomalyDetection
from nas.tasks.base import InputQuantization, outputs_of
from nas.tasks.log_mel import log_mel
from nas.tasks.metric import find_metric
from nas.tasks.pieces import PATCHES, WINDOWS, Pieces, View
from nas.tasks.toycar import take_inventory
from nas.tasks.waveform import read_wav

WINDOWED = AnomalyDetection()
PATCHED = AnomalyDetection(PATCHES)
WriteWav = Callable[..., None]


def write_clip(path: Path, seed: int) -> np.ndarray:
    """A log-mel file as the benchmark keeps them; the same seed gives the same values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).uniform(-60, 10, (200, 128)).astype("<f4")
    path.with_name(f"{path.name}_hist_librosa.bin").write_bytes(values.tobytes())
    return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve normal clips of machines 1 and 4 to train on, two and two of machines 1 and 2 to test."""
    for seed in range(12):
        write_clip(tmp_path / "data" / "train" / f"normal_id_0{1 if seed < 3 else 4}_{seed:08}", seed)
    for seed, kind in enumerate(("normal", "anomaly", "normal", "anomaly"), 100):
        write_clip(tmp_path / "data" / "test" / f"{kind}_id_0{1 + seed % 2}_{seed:08}", seed)
    return tmp_path / "data"


def add_validation(folder: Path, name: str = "validation") -> None:
    for seed, kind in enumerate(("normal", "anomaly"), 200):
        write_clip(folder / name / f"{kind}_id_04_{seed:08}", seed)


def test_contract_of_the_benchmark() -> None:
    task = get_task("ad")
    assert (task.name, task.metric, task.objective) == ("ad", "auc", "reconstruct")
    assert (task.input_shape, outputs_of(task), task.input_quantization) == ((1, 1, 640), 640, None)


def test_the_input_of_a_network_decides_what_it_sees() -> None:
    assert WINDOWED.fitted((32, 32, 1)).view == PATCHES
    assert PATCHED.fitted((1, 1, 640)).view == WINDOWS
    assert WINDOWED.fitted((49, 10, 1)).view == WINDOWS


def test_windows_are_five_frames_one_after_the_other(folder: Path) -> None:
    """196 of a clip, the first of which is its first 2,560 bytes, the next 512 bytes further on."""
    test = WINDOWED.load(folder).test
    assert test.features.shape == (4 * 196, 1, 1, 640)
    assert test.anomalous is not None
    assert test.anomalous.tolist() == [True, True, False, False]
    files = sorted((folder / "test").iterdir())
    for clip, window in ((0, 0), (0, 195), (3, 17)):
        wire = files[clip].read_bytes()[512 * window : 512 * window + 2560]
        row = 196 * clip + window
        assert np.asarray(test.features[row : row + 1], "<f4").tobytes() == wire


def test_pieces_of_a_clip_belong_together(folder: Path) -> None:
    train = WINDOWED.load(folder).train
    assert train.groups is not None
    pieces = len(train) // len(set(train.groups.tolist()))
    assert pieces > 1
    assert train.groups.tolist() == [clip for clip in range(len(train) // pieces) for _ in range(pieces)]


def test_rows_of_pieces_are_those_of_an_array() -> None:
    clips = np.random.default_rng(0).normal(size=(3, 200, 128)).astype(np.float32)
    for view in (WINDOWS, PATCHES):
        pieces = Pieces(clips, view.starts, view)
        whole = pieces[:]
        assert whole.shape == pieces.shape == (len(pieces), *view.input_shape)
        for rows in (slice(0, 3), slice(5, None), slice(1, -1, 7)):
            np.testing.assert_array_equal(pieces[rows], whole[rows])


def test_patches_are_64_frames_every_20() -> None:
    """A value of a patch is the mean of 2 frames and 4 bands."""
    clips = np.random.default_rng(0).normal(size=(2, 200, 128)).astype(np.float32)
    pieces = Pieces(clips, PATCHES.starts, PATCHES)
    assert PATCHES.starts == (0, 20, 40, 60, 80, 100, 120)
    assert pieces[9:10][0, 31, 3, 0] == pytest.approx(clips[1, 40 + 62 : 40 + 64, 12:16].mean(), abs=1e-6)


@pytest.mark.parametrize("view", [WINDOWS, PATCHES])
def test_variants_for_training_are_as_many_and_within_the_clip(view: View) -> None:
    starts = [view.training_starts(variant) for variant in view.variants]
    assert len({len(each) for each in starts}) == 1
    assert max(map(max, starts)) + view.frames <= 200
    assert len({start for each in starts for start in each}) == sum(map(len, starts))


def test_without_a_validation_folder_training_clips_are_held_out_by_name(folder: Path) -> None:
    inventory = take_inventory(folder)
    assert (len(inventory.train), len(inventory.validation), len(inventory.test)) == (11, 1, 4)
    assert not {clip.path for clip in inventory.validation} & {clip.path for clip in inventory.train}
    assert take_inventory(folder) == inventory
    assert any(note.startswith("no anomaly to validate on (1 normal clips)") for note in inventory.notes)


@pytest.mark.parametrize(("clips", "held_out"), [(2, 1), (9, 1), (19, 1), (20, 2), (45, 4)])
def test_a_tenth_of_the_training_clips_is_held_out_but_one_at_least(folder: Path, clips: int, held_out: int) -> None:
    drop(folder / "train")
    for seed in range(clips):
        write_clip(folder / "train" / f"normal_id_01_{seed:08}", 0)
    inventory = take_inventory(folder)
    assert (len(inventory.train), len(inventory.validation)) == (clips - held_out, held_out)


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_validation_folder_is_taken_as_it_is(folder: Path, name: str) -> None:
    add_validation(folder, name)
    inventory = take_inventory(folder)
    assert (len(inventory.train), len(inventory.validation)) == (12, 2)
    assert not any("no anomaly" in note for note in inventory.notes)
    assert "AUC over 1 clips of validation that are labelled as anomalies and 1 normal ones" in inventory.notes[-1]
    validation = WINDOWED.load(folder).validation
    assert validation.anomalous is not None
    assert validation.anomalous.tolist() == [True, False]


def test_normal_clips_of_a_split(folder: Path) -> None:
    """The second of two clips; scored by it alone, a network is judged without any anomaly."""
    add_validation(folder, "validation")
    both = WINDOWED.load(folder).validation
    assert both.has_both_kinds
    normal = both.normal_clips()
    assert not normal.has_both_kinds
    assert normal.anomalous is not None
    assert normal.anomalous.tolist() == [False]
    np.testing.assert_array_equal(normal.features[:], both.features[196:])
    values = np.arange(196.0)
    assert find_metric(WINDOWED.objective, "auc").combine(values, normal.anomalous).value == -97.5


def test_notes_tell_of_machines_that_nothing_was_learnt_of(folder: Path) -> None:
    notes = take_inventory(folder).notes
    assert notes[:2] == (
        "training clips: 3 of machine 01, 8 of machine 04",
        "machines 02 are in the test, and no training clip is of them",
    )


def test_recordings_become_the_same_spectrograms(folder: Path, write_wav: WriteWav) -> None:
    """A recording beside a log-mel file of the same name is not read."""
    path = folder / "test" / "normal_id_03_00000777.wav"
    write_wav(path, seconds=9, seed=3)
    write_wav(folder / "test" / "anomaly_id_02_00000101.wav", seconds=1)
    test = WINDOWED.load(folder).test
    assert len(test) == 5 * 196
    assert isinstance(test.features, Pieces)
    np.testing.assert_array_equal(test.features.clips[4], log_mel(read_wav(path)))


def test_the_official_archive_may_be_given_as_a_whole(folder: Path) -> None:
    (folder / "ToyCar").mkdir()
    for name in ("train", "test"):
        (folder / name).rename(folder / "ToyCar" / name)
    assert len(take_inventory(folder).test) == 4


def test_counts_and_fingerprint(folder: Path) -> None:
    for task, pieces in ((WINDOWED, 39), (PATCHED, 7)):
        data = task.load(folder)
        assert len(data.train) == task.training_samples(folder) == 11 * pieces
        assert all(len(variant) == len(data.train) for variant in data.train.features)
        assert data.fingerprint == WINDOWED.load(folder).fingerprint
    write_clip(folder / "test" / "normal_id_01_00000100", 5)
    assert WINDOWED.load(folder).fingerprint != data.fingerprint


def test_labels_of_patches_are_machines(folder: Path) -> None:
    data = PATCHED.load(folder)
    assert data.train.labels.tolist() == [*[0] * 7 * 3, *[3] * 7 * 8]
    assert data.classes == ("01", "02", "03", "04")


def test_a_machine_that_no_network_knows(folder: Path) -> None:
    write_clip(folder / "train" / "normal_id_05_00000012", 1)
    WINDOWED.load(folder)
    with pytest.raises(DataError, match="machine 05: networks that tell machines apart know 01, 02, 03, 04 only"):
        PATCHED.load(folder)


def drop(folder: Path, pattern: str = "*") -> None:
    for path in folder.glob(pattern):
        path.unlink()
    if pattern == "*":
        folder.rmdir()


FILE = "test/normal_id_01_00000102"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: drop(root / "train", "*.bin"), r"train: no clips; expected names such as normal_id_01"),
        (lambda root: drop(root / "test"), r"test is not there; expected train/ and test/"),
        (lambda root: drop(root / "test", "anomaly*"), r"test: only normal clips; a test needs"),
        (lambda root: write_clip(root / "train" / "anomaly_id_01_00000000", 1), r"an anomaly among the training clips"),
        (
            lambda root: (root / f"{FILE}_hist_librosa.bin").write_bytes(bytes(100)),
            r"00000102_hist_librosa.bin: 100 bytes, expected 102,400 \(float32, 200 x 128\)",
        ),
        (
            lambda root: (root / f"{FILE}_hist_librosa.bin").write_bytes(b"\xff" * 102_400),
            r"00000102_hist_librosa.bin: holds values that are no numbers",
        ),
        (
            lambda root: (root / f"{FILE}_hist_librosa.bin").write_bytes(bytes(102_396) + b"\x00\x00\x80\x7f"),
            r"00000102_hist_librosa.bin: holds values that are no numbers",  # the last one is infinite
        ),
    ],
)
def test_what_is_wrong_is_told(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=message):
        WINDOWED.load(folder)


def test_a_recording_that_is_too_short_is_told(folder: Path, write_wav: WriteWav) -> None:
    write_wav(folder / "test" / "normal_id_01_00000001.wav", seconds=2)
    with pytest.raises(DataError, match=r"normal_id_01_00000001.wav: 2.0 s, expected 8.0 s or more"):
        WINDOWED.load(folder)


def test_the_span_of_an_input_holds_both_ends() -> None:
    grid = InputQuantization.spanning(-81.5, 12.5)
    assert grid.quantize(np.array([-81.5, 12.5])).tolist() == [-128, 127]
    values = np.random.default_rng(0).uniform(-81.5, 12.5, 1000)
    assert np.abs(grid.dequantize(grid.quantize(values)) - values).max() < 0.51 * grid.scale
    assert InputQuantization.spanning(0, 0).quantize(np.zeros(1)).tolist() == [-128]


# Builtin sounds


@pytest.mark.slow
def test_builtin_sounds_are_always_the_same_and_say_so() -> None:
    data = WINDOWED.load("builtin")
    assert data.synthetic
    assert data.notes[0].startswith("SYNTHETIC DATA: the machine sounds are")
    assert data.fingerprint == WINDOWED.load("builtin").fingerprint
    assert len(data.train) == WINDOWED.training_samples("builtin")


def test_builtin_anomalies_can_be_told_without_being_given_away() -> None:
    """By the distance to the nearest of the training spectra: the machines can be learnt from."""
    data = WINDOWED.load("builtin")
    (first, *_), test = data.train.features, data.test
    assert isinstance(first, Pieces)
    assert isinstance(test.features, Pieces)
    assert test.anomalous is not None
    known, heard = (each.clips.mean(axis=1) for each in (first, test.features))
    distance = np.square(heard[:, np.newaxis] - known).sum(axis=2).min(axis=1)
    pairs = distance[test.anomalous][:, np.newaxis] > distance[~test.anomalous]
    assert 0.7 < pairs.mean() <= 1.0
    level = np.abs(heard.mean(axis=1) - known.mean())
    assert 0.2 < (level[test.anomalous][:, np.newaxis] > level[~test.anomalous]).mean() < 0.8


# Evaluation files


def write_list(folder: Path, *lines: str) -> Path:
    (folder / "y_labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def official(tmp_path: Path) -> Path:
    names = {"normal_id_01_00000003": 1, "anomaly_id_02_00000007": 2}
    for name, seed in names.items():
        write_clip(tmp_path / name, seed)
    return write_list(tmp_path, *(f"{name}_hist_librosa.bin,2,{int('anomaly' in name)},2560,512" for name in names))


@pytest.mark.parametrize(("task", "pieces"), [(WINDOWED, 196), (PATCHED, 7)])
def test_evaluation_files_are_cut_as_networks_see_them(official: Path, task: AnomalyDetection, pieces: int) -> None:
    (found,) = load_evaluation_folder(official, task)
    assert found.inputs.shape == (2 * pieces, *task.input_shape)
    assert found.anomalous is not None
    assert found.anomalous.tolist() == [False, True]
    assert found.labels.tolist() == [*pieces * [0], *pieces * [1]]
    first = np.fromfile(official / "normal_id_01_00000003_hist_librosa.bin", "<f4").reshape(200, 128)
    assert found.inputs[0:1].mean() == pytest.approx(first[: task.view.frames].mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "normal_id_01_00000003_hist_librosa.bin,2,0",
            r"y_labels.csv:1: cannot read .*; expected file,2,label,2560,512",
        ),
        ("normal_id_01_00000003_hist_librosa.bin,2,0,2560,1024", r"y_labels.csv:1: cannot read"),
        ("normal_id_01_00000003_hist_librosa.bin,2,2,2560,512", r"y_labels.csv:1: cannot read"),
        ("normal.bin,2,0,2560,512", r"y_labels.csv:1: no machine in the name 'normal.bin'"),
        ("normal_id_01_00000009_hist_librosa.bin,2,0,2560,512", r"00000009_hist_librosa.bin: cannot be read"),
        ("normal_id_01_00000003_hist_librosa.bin,2,0,2560,512", r"y_labels.csv: files of one label only"),
    ],
)
def test_bad_lists(official: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_evaluation_folder(write_list(official, line), WINDOWED)
