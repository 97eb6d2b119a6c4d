"""``nas doctor`` tells what is there, and how to get what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from nas.pipeline.doctor import COMMANDS, look_around

Call = Callable[..., Any]


def test_what_is_installed_is_found_with_its_version(call_nas: Call) -> None:
    told = json.loads(call_nas("doctor", "--json").out)
    tools = {tool["name"]: tool for tool in told["tools"]}
    assert told["device"]
    assert tools["torch"] == {
        "name": "torch",
        "found": metadata.version("torch"),
        "usable": True,
        "required": True,
        "purpose": "everything",
        "install": tools["torch"]["install"],
    }
    assert not tools["unicorn"]["required"]
    assert tools["unicorn"]["install"] == "pip install 'mcu-nas[emulation]'"
    assert "pytest" not in tools  # which only those who change nas need


def test_missing_commands_come_with_the_line_that_installs_them(
    call_nas: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = {tool.name: tool for tool in look_around()}
    for name, _, _, install in COMMANDS:
        assert (found[name].found, found[name].usable, found[name].install) == (None, False, install)
        assert install in call_nas("doctor").out


def test_a_required_package_of_another_version_is_an_error(call_nas: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "tensorflow" else version(name))
    done = call_nas("doctor")
    assert done.code == 2
    assert "tensorflow: missing, or of a version that does not work\n  pip install 'tensorflow==" in done.err
