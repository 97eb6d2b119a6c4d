"""Search spaces: TOML files of decisions, the architectures that they span, and the operator graph of each."""

from __future__ import annotations

from nas.space.architecture import Architecture
from nas.space.blocks import Block
from nas.space.graph import Graph, Op, OpKind
from nas.space.lookup import list_files, load_space
from nas.space.space import Decision, SearchSpace

__all__ = [
    "Architecture",
    "Block",
    "Decision",
    "Graph",
    "Op",
    "OpKind",
    "SearchSpace",
    "list_files",
    "load_space",
]
