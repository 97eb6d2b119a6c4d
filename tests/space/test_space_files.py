"""A space file with a mistake is refused with the file, the table and the key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import InputError, SpecError
from nas.space import load_space

Write = Callable[..., Path]
STEM_WIDTH = "width = { from = 4, to = 12, step = 4 }"
INPUT = "input = [12, 9, 2]"


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("stride = 2", "strid = 2", "stage[stem].strid", "unknown key; did you mean 'stride'?"),
        ("classes = 3", "classes = 3\nnoise = 1", "noise", "unknown key"),
        ("classes = 3\n", "", "classes", "key is missing"),
        ('kind = "conv"\n', "", "stage[stem].kind", "key is missing"),
        ('name = "stem"\n', "", "stage[1].name", "key is missing"),
        ('[head]\nkind = "pool_dense"', "", "head", "key is missing"),
        ("classes = 3", 'classes = "3"', "classes", "valid integer, found '3'"),
        ("classes = 3", "classes = true", "classes", "valid integer, found True"),
        (INPUT, "input = [12, 0, 2]", "input[2]", "greater than or equal to 1, found 0"),
        (INPUT, "input = 12", "input", "valid tuple, found 12"),
        (STEM_WIDTH, "width = 2.5", "stage[stem].width[1]", "valid integer"),
        (STEM_WIDTH, "width = 0", "stage[stem].width[1]", "greater than or equal to 1, found 0"),
        (STEM_WIDTH, "width = -4", "stage[stem].width[1]", "greater than or equal to 1, found -4"),
        (STEM_WIDTH, "width = []", "stage[stem].width", "at least 1 item"),
        (STEM_WIDTH, "width = [8, 4]", "stage[stem]", "width: options must rise and not repeat, found [8, 4]"),
        (STEM_WIDTH, "width = [4, 4]", "stage[stem]", "width: options must rise and not repeat, found [4, 4]"),
        (STEM_WIDTH, "width = { from = 4, to = 13, step = 4 }", "stage[stem].width", "from 4 in steps of 4 does not"),
        (STEM_WIDTH, "width = { from = 8, to = 4, step = 4 }", "stage[stem].width", "from 8 in steps of 4 does not"),
        (STEM_WIDTH, "width = { from = 4, to = 8, step = 0 }", "stage[stem].width", "in numbers above zero"),
        (STEM_WIDTH, "width = { from = 4, too = 8 }", "stage[stem].width", "a range is { from = 4"),
        (STEM_WIDTH, "width = 5000", "stage[stem]", "width: 5000 is above the largest possible, 4096"),
        (STEM_WIDTH, "width = { from = 1, to = 1_000_000_000 }", "stage[stem].width", "more than 4,096 options"),
        ("kernel = [3, 2]", "kernel = [0, 3]", "stage[stem].kernel[1][1]", "greater than or equal to 1, found 0"),
        ("stride = 2", "stride = 0", "stage[stem].stride[1][1]", "greater than or equal to 1, found 0"),
        ("stride = 2", "stride = [1, 2, 3]", "stage[stem].stride[1]", "at most 2 items"),
        ('kind = "ds"', 'kind = "ds"\nstride = [1, 2]', "stage[blocks]", "stride: a stage of kind ds has one for both"),
        ("kernel = [3, 2]", "kernel = 3", "stage[stem].kernel[1]", "valid tuple, found 3"),
        ("{ from = 1, to = 2 }", "[1, 3]", "stage[blocks]", "repeat: must be consecutive numbers, found [1, 3]"),
        ("{ from = 1, to = 2 }", "{ from = 1, to = 65 }", "stage[blocks]", "repeat: 65 is above the largest"),
        ('kind = "ds"', 'kind = "dsc"', "stage[blocks]", "kind: 'dsc' is not a block kind; there are conv, ds"),
        ('kind = "pool_dense"', 'kind = "dense"', "head", "kind: 'dense' is not a head; there are pool_dense"),
        ("kernel = [3, 2]\n", "", "stage[stem]", "kernel: a stage of kind conv needs it"),
        ('kind = "conv"', 'kind = "dense"', "stage[stem]", "kernel: a stage of kind dense has none"),
        ('kind = "conv"\nkernel = [3, 2]', 'kind = "dense"', "stage[stem]", "stride: a stage of kind dense has none"),
        (
            'kind = "conv"\nkernel = [3, 2]\nstride = 2',
            'kind = "dense"',
            "",
            "stage: with the head pool_dense, stem must be conv or ds or fused or ibn or residual",
        ),
        ('kind = "pool_dense"', 'kind = "linear"', "", "stage: with the head linear, stem must be dense"),
        ('name = "blocks"', 'name = "stem"', "", "stage: names must differ, found stem, stem"),
        ('name = "blocks"', 'name = "blocks.1"', "stage[blocks.1].name", "should match pattern"),
        ("schema = 1", "schema = 2", "schema", "should be 1, found 2"),
        ('name = "toy"', 'name = "to y"', "name", "should match pattern"),
        ('name = "toy"', 'name = "other"', "name", "must be the file's stem 'toy', found 'other'"),
        ("[head]", "[head", "", "not TOML: "),
        ("[[stage]]", "[stage]", "", "not TOML: "),
    ],
)
def test_mistakes(write_space: Write, old: str, new: str, where: str, problem: str) -> None:
    path = write_space((old, new))
    with pytest.raises(SpecError) as caught:
        load_space(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {where}: " if where else f"{path}: ")
    assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (INPUT, "input = [12, 9]", "input[3]"),
        ("kernel = [3, 2]", "kernel = [[3]]", "stage[stem].kernel[1][2]"),
        ("kernel = [3, 2]", "kernel = []", "stage[stem].kernel[1][1]"),
    ],
)
def test_a_list_that_is_too_short(write_space: Write, old: str, new: str, where: str) -> None:
    with pytest.raises(SpecError, match=re.escape(f"{where}: key is missing")):
        load_space(write_space((old, new)))


def test_dense_stages_take_a_vector(write_space: Write) -> None:
    """A map in rows and columns would be flattened in another order on the device."""
    tables = [
        ('kind = "conv"\nkernel = [3, 2]\nstride = 2', 'kind = "dense"'),
        ('kind = "pool_dense"', 'kind = "linear"'),
    ]
    tables.append(('kind = "ds"\nkernel = [[1, 1], [3, 3]]', 'kind = "dense"'))
    with pytest.raises(SpecError, match=r"input: dense stages take a vector, \[1, 1, n\], found \[12, 9, 2\]"):
        load_space(write_space(*tables))
    space = load_space(write_space(*tables, (INPUT, "input = [1, 1, 12]")))
    assert space.points["middle"].graph.shapes == ((1, 1, 12), (8,), (6,), (4,), (3,))


@pytest.mark.parametrize("kernels", ["[[3, 3], [1, 1]]", "[[3, 3], [3, 3]]"])
def test_kernels_must_rise(write_space: Write, kernels: str) -> None:
    """The smallest network takes the first option, and the number of networks counts each option once."""
    with pytest.raises(SpecError, match="kernel: "):
        load_space(write_space(("[[1, 1], [3, 3]]", kernels)))


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ("stem = [5], blocks = [6]", r"point\[middle\]: stem.1.width = 5 is no option"),
        ("stem = [8]", r"point\[middle\]: blocks.depth = 0 is no option"),
        ("stem = [8], blocks = [6, 6, 6]", r"point\[middle\]: blocks.depth = 3 is no option"),
    ],
)
def test_a_point_outside_the_space(write_space: Write, widths: str, message: str) -> None:
    path = write_space(("stem = [8], blocks = [6, 4]", widths))
    with pytest.raises(InputError, match=f"toy.toml: {message}"):
        load_space(path)


def test_a_point_with_an_unknown_stage(write_space: Write) -> None:
    path = write_space(("stem = [8], blocks = [6, 4]", "stem = [8], blocks = [6, 4], tail = [4]"))
    with pytest.raises(InputError, match=r"toy.toml: point\[middle\].*tail"):
        load_space(path)


def test_a_file_that_is_no_text(write_space: Write) -> None:
    path = write_space()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"toy.toml: cannot be read"):
        load_space(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*nowhere.toml; a bare name such as"):
        load_space(tmp_path / "nowhere.toml")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no search space named 'kws_micronets'; .*did you mean 'kws_micronet'\?"):
        load_space("kws_micronets")


def test_names_are_found_whatever_their_case() -> None:
    assert load_space("KWS_MicroNet").name == "kws_micronet"


def test_a_folder_beside_the_user_hides_the_packaged_file(
    write_space: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_space(('name = "toy"', 'name = "kws_ds_cnn"'), name="kws_ds_cnn")
    (tmp_path / "search_spaces").mkdir()
    path.rename(tmp_path / "search_spaces" / path.name)
    monkeypatch.chdir(tmp_path)
    assert load_space("kws_ds_cnn").size == 60
    assert load_space("kws_micronet").size > 10**18


def test_the_hash_is_that_of_the_file(write_space: Write) -> None:
    assert load_space(write_space()).sha256 == load_space(write_space()).sha256
    assert load_space(write_space()).sha256 != load_space(write_space(("step = 4", "step = 4 "))).sha256
