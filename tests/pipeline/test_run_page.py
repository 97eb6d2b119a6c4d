"""The page of a run shows what the run found; a browser shows the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nas.errors import RunFolderError
from nas.pipeline.page import _command, write_page
from nas.pipeline.request import SearchOptions
from nas.tasks import TaskSettings

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = 390  # CSS pixels


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Path:
    """A finished training, with the answers of a test split."""
    folder = tmp_path / "kws-64kb"
    shutil.copytree(checkout / "exported" / "reference" / "kws-64kb", folder)
    proof = folder / "winner" / "validation.json"
    counts = [[150 if row == column else (row + column) % 3 for column in range(12)] for row in range(12)]
    proof.write_text(json.dumps({**json.loads(proof.read_text()), "confusion": {"float": counts, "int8": counts}}))
    return folder


def test_a_page_of_a_training(run: Path) -> None:
    html = write_page(run).read_text()
    report = json.loads((run / "result.json").read_text())["winner"]
    assert report["summary"] in html
    assert f"{report['int8_score']:.2%}" in html
    assert f"{report['measured']['sram_bytes'] / 1024:.1f} KB" in html
    assert html.count('<td class="left extra">') == 2 * 33  # operators
    assert html.count("<th>unknown</th>") == 2
    assert "data:image/svg+xml;base64," in html
    assert "nas train exported/reference/kws-64kb --epochs 80 --seed 2" in html
    assert html.count("<td>micronet-kws-l</td>") == 1  # a point of two spaces
    assert write_page(run, run / "other.html").read_text() == html


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"synthetic": True}, {"classes": ["lamp on", "silence"]}], ids=str)
def test_only_like_is_held_against_published_networks(changed: dict[str, Any], run: Path) -> None:
    """Real data and the benchmark's classes."""
    shown = write_page(run).read_text()
    assert "Beside published networks" in shown
    assert "<td>micronet-kws-l</td><td>0.965</td><td>" in shown
    result = run / "result.json"
    report = json.loads(result.read_text())
    result.write_text(json.dumps({**report, "data": {**report["data"], **changed}}))
    html = write_page(run).read_text()
    assert "Beside published networks" not in html
    assert "micronet-kws-l" not in html


def test_a_run_that_is_not_finished(run: Path) -> None:
    (run / "result.json").unlink()
    with pytest.raises(RunFolderError, match=r"is done: there is no .*result\.json"):
        write_page(run)
    with pytest.raises(RunFolderError, match="no run in"):
        write_page(run / "winner")


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({"flash": "64KB", "seed": 3}, "nas search --task kws --flash 64KB --seed 3"),
        ({"inherit": True, "qat": False, "start": ("a:b", "c:d")}, "--inherit --start a:b --start c:d --no-qat"),
        ({"settings": TaskSettings(keywords=("lamp on", "off"), mels=20)}, "--keywords 'lamp on, off' --mels 20"),
    ],
)
def test_the_command_has_what_was_given(options: dict[str, Any], command: str) -> None:
    request = json.loads(json.dumps(SearchOptions("kws", **options).to_json()))
    assert command in _command({"request": request})


def browse(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Open a page without a window."""
    assert BROWSER is not None
    usual = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=4000")
    command = [BROWSER, *usual, f"--user-data-dir={path.parent / 'profile'}", *flags, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt install chromium")
def test_a_browser_shows_it_on_a_desk_and_on_a_phone(run: Path, tmp_path: Path) -> None:
    """Nothing on the console; all pictures drawn; nothing wider than the screen but what scrolls by itself."""
    ask = (
        "parent.postMessage([document.documentElement.scrollWidth, document.images.length, "
        "[...document.images].filter(i => i.complete && i.naturalWidth > 100).length].join(' '), '*')"
    )
    page = write_page(run)
    assert "CONSOLE" not in browse(page, "--dump-dom").stderr
    html = page.read_text().replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    (tmp_path / "asked.html").write_text(html.replace("</body>", f"<script>onload = () => {ask}</script></body>"))
    for width in (PHONE, 1280):
        frame = tmp_path / f"frame{width}.html"
        listen = "<script>onmessage = event => document.body.dataset.found = event.data</script>"
        frame.write_text(
            f'<body>{listen}<iframe src="asked.html" width="{width}" height="900" style="border:0"></iframe>'
        )
        done = browse(frame, "--dump-dom")
        assert "CONSOLE" not in done.stderr
        match = re.search(r'data-found="(\d+) (\d+) (\d+)"', done.stdout)
        assert match, done.stdout[:300]
        wide, images, drawn = map(int, match.groups())
        assert wide <= width
        assert images == drawn >= 1
