"""What the shell offers behind a flag; read from the same places as the flag itself is."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def tasks(incomplete: str) -> list[str]:
    """Names of tasks."""
    from nas.tasks import task_names

    return _beginning(task_names(), incomplete)


def engines(incomplete: str) -> list[str]:
    """Names of engines."""
    from nas.engines import ENGINES

    return _beginning(ENGINES, incomplete)


def trackers(incomplete: str) -> list[str]:
    """Names of trackers."""
    from nas.pipeline.tracking import TRACKERS

    return _beginning(TRACKERS, incomplete)


def files(kind: str) -> Callable[[str], list[str]]:
    """Names of data files, the user's and the packaged ones: ``constraints``, ``search_spaces`` and what lies there."""

    def names(incomplete: str) -> list[str]:
        from nas.space.lookup import list_files

        return _beginning(list_files(kind), incomplete)

    return names


mcus = files("constraints")
spaces = files("search_spaces")
recipes = files("search_spaces/recipes")
studies = files("search_spaces/studies")


def networks(incomplete: str) -> list[str]:
    """``SPACE:POINT`` of every published network, and the ends of every space."""
    from nas.errors import InputError
    from nas.space.lookup import list_files, load_space

    found = []
    for name in list_files("search_spaces"):
        try:
            points = load_space(name).points
        except InputError:  # a file that is being written
            continue
        found += [f"{name}:{point}" for point in (*points, "smallest", "largest")]
    return _beginning(found, incomplete)
