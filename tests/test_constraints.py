"""The shipped constraint files: microcontrollers and budget profiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.budget import Budget, McuSpec, ProfileSpec, list_mcus, list_profiles, load_mcu, make_budget
from nas.errors import SpecError

CORES = {"Cortex-M0+", "Cortex-M4", "Cortex-M7", "Cortex-M33", "Cortex-M55", "Cortex-M85", "Xtensa LX7"}
KB, MB = 1024, 1024**2
PROFILE = """\
schema = 1
name = "mine"
description = "for tests"
source = "tests"

[budget]
flash = 65_536
sram = 32_768
ops = 5_000_000
"""


@pytest.fixture
def write_profile(tmp_path: Path) -> Callable[..., str]:
    def write(old: str = "", new: str = "") -> str:
        (tmp_path / "mine.toml").write_text(PROFILE.replace(old, new, 1))
        return str(tmp_path / "mine.toml")

    return write


def shipped(checkout: Path) -> dict[str, McuSpec | ProfileSpec]:
    return {path.stem: load_mcu(str(path)) for path in sorted((checkout / "constraints").glob("*.toml"))}


@pytest.fixture
def mcus(checkout: Path) -> list[McuSpec]:
    return [spec for spec in shipped(checkout).values() if isinstance(spec, McuSpec)]


def test_every_file_has_the_name_of_its_stem(checkout: Path) -> None:
    specs = shipped(checkout)
    assert {stem: spec.name for stem, spec in specs.items()} == {stem: stem for stem in specs}
    assert all(stem == stem.lower() for stem in specs)
    listed = {spec.name for spec in list_mcus()} | {spec.name for spec in list_profiles()}
    assert listed == set(specs)


def test_there_are_enough_of_both_kinds(mcus: list[McuSpec], checkout: Path) -> None:
    assert len(mcus) >= 14
    assert len(shipped(checkout)) - len(mcus) >= 3
    assert len({spec.core for spec in mcus}) >= 4


def test_every_mcu_is_plausible(mcus: list[McuSpec]) -> None:
    for spec in mcus:
        memory = spec.memory
        assert spec.core in CORES, spec.name
        assert 16_000_000 <= spec.clock_hz <= 1_000_000_000, spec.name
        assert 128 * KB <= memory.flash <= 16 * MB, spec.name
        assert 32 * KB <= memory.sram <= 4 * MB, spec.name
        assert memory.sram < memory.flash or spec.name == "apollo4p", spec.name
        assert 76 * KB <= memory.reserved_flash < memory.flash, spec.name
        assert 4 * KB <= memory.reserved_sram < memory.sram / 2, spec.name
        assert spec.source, spec.name


@pytest.mark.parametrize(
    ("name", "flash_kb", "sram_kb"),
    [
        ("stm32f446re", 512, 128),  # MicroNets, Table 1
        ("stm32f746zg", 1024, 320),
        ("stm32f767zi", 2048, 512),
        ("stm32l4r5zi", 2048, 640),  # three banks in a row
        ("stm32h743zi", 2048, 512),  # AXI SRAM, of 1 MB in all
        ("stm32l476rg", 1024, 96),  # SRAM1, of 128 KB in all
        ("stm32u575zi", 2048, 768),  # of 784 KB in all
        ("nrf5340", 1024, 512),
        ("rp2040", 2048, 256),  # without the scratch banks
        ("imxrt1062", 8192, 512),  # of 1 MB in all
    ],
)
def test_sram_is_one_region(name: str, flash_kb: int, sram_kb: int) -> None:
    spec = load_mcu(name)
    assert isinstance(spec, McuSpec)
    assert (spec.memory.flash, spec.memory.sram) == (flash_kb * KB, sram_kb * KB)


def test_the_limits_of_an_mcu_are_what_is_left() -> None:
    assert load_mcu("stm32f446re").limits() == Budget(421_888, 122_880)


@pytest.mark.parametrize(
    ("profile", "mcu"),
    [("profile_small", "stm32f446re"), ("profile_medium", "stm32f746zg"), ("profile_large", "stm32f767zi")],
)
def test_what_fits_a_profile_fits_its_board(profile: str, mcu: str) -> None:
    inner, outer = load_mcu(profile).limits().bounds(), load_mcu(mcu).limits().bounds()
    assert set(inner) == set(outer)
    assert all(0.9 * outer[name] < inner[name] <= outer[name] for name in outer)


def test_profiles_grow() -> None:
    tiny, small, medium, large = (load_mcu(f"profile_{size}").limits() for size in ("tiny", "small", "medium", "large"))
    for less, more in ((tiny, small), (small, medium), (medium, large)):
        assert all(bound < more.bounds()[name] for name, bound in less.bounds().items())


def test_a_profile_is_a_budget_as_it_is(write_profile: Callable[..., str]) -> None:
    assert make_budget(write_profile()) == Budget(65_536, 32_768, 5_000_000)
    assert make_budget(write_profile("ops = 5_000_000\n")) == Budget(65_536, 32_768)
    assert make_budget("profile_tiny") == Budget(65_536, 32_768)


def test_flags_go_before_a_profile(write_profile: Callable[..., str]) -> None:
    assert make_budget(write_profile(), flash_bytes=8000, ops=7) == Budget(8000, 32_768, 7)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flash = ", "flsh = ", r"budget.flsh: unknown key; did you mean 'flash'\?"),
        ("sram = 32_768", 'sram = "32KB"', r"budget.sram: .*found '32KB'"),
        ("ops = 5_000_000", "ops = 0", "budget.ops: .*found 0"),
        ("flash = 65_536\nsram = 32_768\nops = 5_000_000\n", "", "budget: at least one of flash, sram, ops"),
        ('description = "for tests"\n', "", "description: key is missing"),
        ("schema = 1", 'schema = 1\ncore = "Cortex-M4"', "core: unknown key"),
        ("[budget]", "[bugdet]", r"bugdet: unknown key; did you mean 'budget'\?|core: key is missing"),
        ("[budget]", "[budget", "not TOML"),
    ],
)
def test_a_mistake_in_a_profile(write_profile: Callable[..., str], old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"mine.toml: ({message})"):
        load_mcu(write_profile(old, new))


@pytest.mark.slow
def test_the_list_names_what_is_left_for_a_model(capsys: pytest.CaptureFixture[str], checkout: Path) -> None:
    from nas.cli.lists import mcus as command

    command(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(shipped(checkout))
    assert (rows["profile_tiny"]["core"], rows["profile_tiny"]["clock_hz"]) == (None, None)
    assert {row["core"] is None for name, row in rows.items() if name.startswith("profile_")} == {True}
    for name, row in rows.items():
        limits = load_mcu(name).limits()
        assert (row["model_flash_bytes"], row["model_sram_bytes"]) == (limits.flash_bytes, limits.sram_bytes)
        assert row["source"]
        for kind in ("flash", "sram"):
            assert row[f"{kind}_bytes"] - row[f"reserved_{kind}_bytes"] == row[f"model_{kind}_bytes"]
    command()
    shown = capsys.readouterr().out
    assert "412 KB / 120 KB" in shown
    assert all(name in shown for name in rows)
