"""Where data files are found: an explicit path, then the folder beside the user, then the ones in the package."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path

from nas.errors import InputError, SpecError
from nas.files import read_json
from nas.folders import RUN, require_own
from nas.space.architecture import Architecture
from nas.space.space import SearchSpace
from nas.space.spec import SpaceSpec, read_toml

PACKAGE = Path(__file__).resolve().parents[1]


def list_files(kind: str) -> dict[str, Path]:
    """Name -> path of every file of a folder such as ``constraints``; the user's hide the packaged ones."""
    packaged = PACKAGE / "_data" / kind  # in the wheel
    checkout = PACKAGE.parent / kind  # in a checkout, also an editable install
    folders = [packaged if packaged.is_dir() else checkout, Path(kind)]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def find_file(kind: str, name: str | Path) -> Path:
    """The file that a name or a path means.

    Raises:
        InputError: there is none; lists what there is and the nearest name.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.parent != Path():
        if path.is_file():
            return path
        raise InputError(
            f"no file {path}; a bare name such as {next(iter(list_files(kind)), 'NAME')!r} takes a shipped one"
        )
    known = list_files(kind)
    found = known.get(str(name)) or {key.lower(): value for key, value in known.items()}.get(str(name).lower())
    if found is None:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        what = Path(kind).name.replace("_", " ").replace("ies", "ys").rstrip("s")
        raise InputError(f"no {what} named {str(name)!r}; there are {', '.join(known)}{hint}")
    return found


def load_space(name: str | Path) -> SearchSpace:
    """Read a search space by name or path.

    Raises:
        InputError: no such file.
        SpecError: the file breaks the schema; names file, table and key.
    """
    path = find_file("search_spaces", name)
    space = SearchSpace(read_toml(path, SpaceSpec), str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    if space.name != path.stem:
        raise SpecError(path, "name", f"must be the file's stem {path.stem!r}, found {space.name!r}")
    _ = space.points
    return space


def find_architecture(what: str) -> Architecture:
    """The network that a run folder, an ``arch.json`` or ``SPACE:POINT`` means.

    Every space has the points ``smallest`` and ``largest`` beside its published ones.

    Raises:
        InputError: there is none; says what was looked for.
    """
    path = Path(what)
    if path.is_dir():
        require_own(path, RUN)
        path = path / "winner" / "arch.json"
    if path.is_file():
        return Architecture.from_json(read_json(path), path)
    space_name, colon, point = what.rpartition(":")
    if not colon:
        raise InputError(
            f"no network {what!r}: give a run folder, an arch.json, or SPACE:POINT such as kws_ds_cnn:mlperf-ds-cnn"
        )
    space = load_space(space_name)
    points = {**space.points, "smallest": space.smallest(), "largest": space.largest()}
    if point not in points:
        raise InputError(f"the space {space_name} has no point {point!r}; it has {', '.join(points)}")
    return points[point]
