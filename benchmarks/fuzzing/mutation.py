"""Damage that is made to files: bytes, trees of TOML and JSON, flatbuffers, pictures, and folders of such files."""

from __future__ import annotations

import copy
import datetime
import functools
import json
import math
import pickle
import struct
import tomllib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Special:
    """What a folder may hold instead of a file: ``link`` to a target, ``fifo``, or ``folder``."""

    kind: str
    target: str = ""


Files = dict[str, bytes | Special]
"""An input: names below a folder, and what each file holds."""
MOST_PLACES = 2000
"""A tree of so many values does not grow a hundredfold any more."""
Mutator = Callable[[Random, bytes, Sequence[bytes]], bytes]

WORDS = (0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
WORDS += (0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
BOMBS = (b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b"\x00" * 4096, b"\xff" * 64, b"a" * 100_000, b"\n" * 5000)
SNIPPETS = (
    b"",
    b"\x00",
    b"nan",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"\xef\xbb\xbf",
    "\ud7ff\u202e".encode(),
    b"%s%n",
    b"..",
)
SNIPPETS += (b"\r\n", b"'", b'"', b"\\", b"-1", b"0x7fffffff", b"1.2.3", b"\xc3\x28", b"\xed\xa0\x80", "٣²".encode())


def mutate_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to four changes of any kind."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(BYTE_CHANGES)(rng, data, others)
    return data


def _flip(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _word(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A number of 1 to 8 bytes, often where an aligned one stands."""
    size = rng.choice((1, 2, 4, 4, 4, 8))
    if len(data) < size:
        return data
    at = rng.randrange(len(data) - size + 1)
    at -= at % size if rng.random() < 0.8 else 0
    near = (len(data), len(data) - at, at, 2**32 - at, rng.getrandbits(8 * size))
    value = rng.choice((*WORDS, *near)) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, rng.choice(("little", "little", "big"))) + data[at + size :]


def _cut(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    first, last = _span(rng, data)
    return data[:first] + data[last:]


def _repeat(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    first, last = _span(rng, data)
    return data[:last] + data[first:last] * rng.choice((1, 2, 50)) + data[last:]


def _insert(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((rng.randbytes(rng.randrange(1, 9)), rng.choice(SNIPPETS))) + data[at:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    first, last = _span(rng, other)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[first:last] + data[rng.randrange(at, len(data) + 1) :]


def _overwrite(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    first, last = _span(rng, data)
    return data[:first] + bytes([rng.choice((0, 0xFF, 0x80, 0x41))]) * (last - first) + data[last:]


def _bomb(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Rarely, as it makes large files."""
    if rng.random() < 0.9:
        return _word(rng, data, others)
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(BOMBS) + data[at:]


BYTE_CHANGES: tuple[Mutator, ...] = (
    _flip,
    _word,
    _word,
    _word,
    _cut,
    _drop,
    _repeat,
    _insert,
    _splice,
    _overwrite,
    _bomb,
)


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    first = rng.randrange(len(data) + 1)
    return first, min(len(data), first + rng.choice((1, 2, 4, 16, 64, 512)))


def odd_value(rng: Random, json_only: bool = False) -> Any:
    """A value that nobody meant."""
    values: list[Any] = [True, False, -1, 0, 1, 2, 3, 7, 64, 65, 1000, 4096, 4097, 2**15, 2**31 - 1, 2**31, 2**63 - 1]
    values += [2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e-300, 1e308, math.nan, math.inf, -math.inf]
    values += [
        "",
        " ",
        "a",
        "../..",
        "/dev/zero",
        "\x00",
        "a\nb",
        "é\u202e",
        "256KB",
        "1e999",
        "x" * 5000,
        "٣",
        "[red]",
    ]
    values += [[], {}, [[]], [1], [0], [-1, 5], [1] * 300, {"a": {}}, {"from": 1, "to": 10**9, "step": 1}, _deep(rng)]
    values += [None, [None]] if json_only else [datetime.date(1979, 5, 27), datetime.time(7, 32)]
    return copy.deepcopy(rng.choice(values))


def _deep(rng: Random) -> Any:
    value: Any = 1
    for _ in range(rng.choice((3, 80))):
        value = [value] if rng.random() < 0.7 else {"a": value}
    return value


def mutate_tree(rng: Random, tree: Any, json_only: bool = False) -> Any:
    """One to three changes to a tree of dictionaries and lists, in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if places:
            _change(rng, *rng.choice(places), places, json_only)
    return tree


@functools.lru_cache(maxsize=64)
def _read(read: Callable[[bytes], Any], data: bytes) -> bytes:
    """What a file holds, pickled: a copy from there takes a tenth of the time of reading a seed once more."""
    return pickle.dumps(read(data), pickle.HIGHEST_PROTOCOL)


def _tree(read: Callable[[bytes], Any], data: bytes) -> Any:
    """What a file holds, to be changed."""
    return pickle.loads(_read(read, data))


def _places(node: Any) -> Any:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _change(rng: Random, node: Any, key: Any, places: list[Any], json_only: bool) -> None:
    what = rng.randrange(8)
    if what == 0 and isinstance(node, dict):
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[rng.choice((f"{key}s", key[:-1], "", "é", "a.b", "__class__", key.upper()))] = node.pop(key)
    elif what == 2 and isinstance(node, dict):
        node[rng.choice(("unknown", "name", "schema", "\n"))] = odd_value(rng, json_only)
    elif what == 3 and isinstance(node, list):
        many = 100 if len(places) < MOST_PLACES else 2  # thrice a hundred times takes minutes to write
        node[:] = rng.choice((node * 2, node * many, node[:key], node[::-1], node[key + 1 :]))
    elif what == 4:
        other, place = rng.choice(places)
        if _has(other, place):
            node[key] = copy.deepcopy(other[place])
    elif what == 5 and isinstance(node[key], int | float) and abs(node[key]) < 1e300:
        node[key] = rng.choice((-node[key], node[key] + 1, node[key] * 1000, node[key] * 10**9, float(node[key])))
    elif what == 6 and isinstance(node[key], str):
        node[key] = rng.choice(
            (node[key] * 50, node[key][:-1], node[key] + "\u202e\n", node[key].upper(), "/" + node[key])
        )
    else:
        node[key] = odd_value(rng, json_only)


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def mutate_json(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Mostly the tree, sometimes the text."""
    if rng.random() < 0.2:
        return mutate_bytes(rng, data, others)
    return json.dumps(mutate_tree(rng, _tree(json.loads, data), json_only=True)).encode()


def mutate_json_lines(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One line of them, or the text."""
    lines = data.splitlines()
    if rng.random() < 0.2 or not lines:
        return mutate_bytes(rng, data, others)
    at = rng.randrange(len(lines))
    lines[at] = mutate_json(rng, lines[at], lines)
    return b"\n".join(lines) + b"\n"


def mutate_toml(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Mostly the tree, sometimes the text."""
    if rng.random() < 0.2:
        return mutate_bytes(rng, data, others)
    tree = mutate_tree(rng, _tree(_read_toml, data))
    return "".join(f"{json.dumps(key)} = {to_toml(value)}\n" for key, value in tree.items()).encode(
        errors="surrogatepass"
    )


def _read_toml(data: bytes) -> Any:
    return tomllib.loads(data.decode())


def to_toml(value: Any) -> str:
    """A value as TOML writes it, tables inline."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return repr(value)
        case int() | datetime.date() | datetime.time():
            return str(value) if not isinstance(value, int) or abs(value) < 10**4000 else "1"
        case list():
            return f"[{', '.join(map(to_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(str(value))


def mutate_png(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The header or a chunk of a PNG with a right checksum, or bytes of any picture."""
    if not data.startswith(b"\x89PNG") or rng.random() < 0.3:
        return mutate_bytes(rng, data, others)
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    place = rng.randrange(len(chunks)) if rng.random() < 0.5 else 0
    name, body = chunks[place]
    if place == 0 and rng.random() < 0.6:
        width, height = (rng.choice((0, 1, 9, 8192, 8193, 30_000, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2))
        body = struct.pack(">II", width, height) + body[8:]
    elif name == b"IDAT" and rng.random() < 0.3:
        body = _zeros(rng.choice((0, 10, 10_000_000)))
    else:
        body = mutate_bytes(rng, body, others)[:100_000]
    chunks[place] = (name, body)
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return data[:8] + b"".join(packed)


@functools.cache
def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size))


def mutate_flatbuffer(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Half of the time fields of the unpacked model, packed again; else bytes, mostly aligned words."""
    if rng.random() < 0.5:
        return mutate_bytes(rng, data, others)
    import flatbuffers

    tree = _tree(_read_flatbuffer, data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        nodes = list(_objects(tree, 0))
        _change_object(rng, rng.choice(nodes), nodes)
    try:
        builder = flatbuffers.Builder(len(data))
        builder.Finish(tree.Pack(builder), b"TFL3")
        return bytes(builder.Output())
    except Exception:  # fields that no flatbuffer can hold
        return mutate_bytes(rng, data, others)


def _read_flatbuffer(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def _objects(node: Any, depth: int) -> Any:
    """Every object of the schema, itself included."""
    if depth > 12:
        return
    if isinstance(node, list):
        for each in node:
            yield from _objects(each, depth)
    elif hasattr(node, "Pack"):
        if vars(node):
            yield node
        for value in list(vars(node).values()):
            yield from _objects(value, depth + 1)


def _change_object(rng: Random, node: Any, nodes: list[Any]) -> None:
    import numpy as np

    name = rng.choice(list(vars(node)))
    value = getattr(node, name)
    if isinstance(value, bool):
        changed: Any = not value
    elif isinstance(value, int):
        changed = rng.choice((0, 1, -1, 2, value + 1, value - 1, 100, 127, 255, 2**31 - 1, -(2**31), 2**20))
    elif isinstance(value, float):
        changed = rng.choice((0.0, -1.0, math.nan, math.inf, 1e30, 1e-30))
    elif isinstance(value, np.ndarray) and value.size:
        changed = value.copy()
        if np.issubdtype(value.dtype, np.floating):
            changed[rng.randrange(len(value))] = rng.choice((0.0, -1.0, math.nan, math.inf, 1e30))
        else:
            low, high = np.iinfo(value.dtype).min, np.iinfo(value.dtype).max
            odd = (0, 1, -1, 2, 3, 1000, 65_536, 2**20, low, high, int(value[0]))
            changed[rng.randrange(len(value))] = max(low, min(high, rng.choice(odd)))
        changed = rng.choice((changed, changed, changed, value[:-1], np.concatenate([value, value]), None))
    elif isinstance(value, list) and value:
        at = rng.randrange(len(value))
        changed = rng.choice((value[:at] + value[at + 1 :], [*value, value[at]], [], None, value[::-1]))
    elif isinstance(value, bytes):
        changed = rng.choice((b"", b"\xff", value * 3, b"OfflineMemoryAllocation"))
    else:
        alike = [getattr(each, name) for each in nodes if hasattr(each, name)]
        changed = rng.choice((None, rng.choice(alike)))
    setattr(node, name, changed)


def mutate_onnx(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Mostly fields of the model, packed again, of which weights are one; else bytes."""
    import onnx
    from google.protobuf.message import DecodeError

    if rng.random() < 0.2:
        return mutate_bytes(rng, data, others)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        return mutate_bytes(rng, data, others)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        node = model if rng.random() < 0.05 else model.graph
        while True:  # down to any depth
            below = [(name, value) for name, value in node.ListFields() if name.message_type is not None]
            if not below or (rng.random() < 0.15 and node is not model.graph):
                break
            _, value = rng.choice(below)
            node = value if hasattr(value, "ListFields") else rng.choice(value)
        _change_message(rng, node)
    return bytes(model.SerializeToString())


def _change_message(rng: Random, node: Any) -> None:
    """Another value for a field of it, or none, or more than one."""
    fields = node.DESCRIPTOR.fields
    name = rng.choice([field.name for field, _ in node.ListFields()] or [field.name for field in fields])
    name = rng.choice(fields).name if rng.random() < 0.2 else name
    kind, value = node.DESCRIPTOR.fields_by_name[name], getattr(node, name)
    several, message = hasattr(value, "extend"), kind.message_type is not None
    what = rng.randrange(4)
    if what == 0:
        node.ClearField(name)
    elif several and value and what == 1:
        del value[rng.randrange(len(value))]
    elif several and value and what == 2:
        value.extend([rng.choice(value)] * rng.choice((1, 1, 100)))
    elif message:
        if not several:
            value.SetInParent()
        elif len(value) > 1:
            value[rng.randrange(len(value))].CopyFrom(rng.choice(value))
        else:
            value.add()
    else:
        odd = _odd_field(rng, kind, value)
        try:
            if several:
                value[rng.randrange(len(value))] = odd
            else:
                setattr(node, name, odd)
        except (ValueError, TypeError, IndexError):  # an enumeration without that number, a list that was empty
            node.ClearField(name)


def _odd_field(rng: Random, kind: Any, value: Any) -> Any:
    if kind.cpp_type == kind.CPPTYPE_STRING:
        text = rng.choice(
            (b"", b"x" * 5000, b"input", b"output", b"Loop", b"Conv", b"ConstantOfShape", b"../..", b"\xff")
        )
        if kind.type == kind.TYPE_BYTES:
            given = value if isinstance(value, bytes) else b""
            return rng.choice((text, given[:-1], given * 2, given[: len(given) // 2]))
        return text.decode(errors="replace")
    if kind.cpp_type in (kind.CPPTYPE_FLOAT, kind.CPPTYPE_DOUBLE):
        return rng.choice((0.0, -1.0, math.nan, math.inf, 1e30))
    given = value if isinstance(value, int) else rng.choice(value) if value else 0
    return rng.choice((0, 1, -1, 2, given + 1, given - 1, given * 1000, 7, 1000, 2**20, 2**31 - 1, 2**40, 2**63 - 1))


def mutate_folder(rng: Random, files: Files, how: Callable[[str], Mutator]) -> Files:
    """A file of it, or what files there are."""
    changed = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        names = list(changed)
        if not names:
            break
        name = rng.choice(names)
        content = changed[name]
        if isinstance(content, bytes) and rng.random() < 0.7:
            changed[name] = how(name)(rng, content, [one for one in changed.values() if isinstance(one, bytes)])
            continue
        _change_folder(rng, changed, name)
    return changed


def _change_folder(rng: Random, files: Files, name: str) -> None:
    parent, _, base = name.rpartition("/")
    links = (base, "..", ".", "/", "/dev/zero", "/dev/null", "nowhere", rng.choice(list(files)).rpartition("/")[2])
    match rng.randrange(6):
        case 0:
            del files[name]
        case 1:
            files[name] = Special("link", rng.choice(links))
        case 2:
            files[f"{parent}/loop".lstrip("/")] = Special("link", rng.choice(("..", ".", "loop", "../..")))
        case 3:
            files[name] = rng.choice((Special("fifo"), Special("folder"), b""))
        case 4:
            other = rng.choice(
                (f".{base}", f"{base}x", "é\u202e.wav", "a\nb.png", " ", "x" * 200 + base[-5:], base.upper())
            )
            files[f"{parent}/{other}".lstrip("/")] = files.pop(name)
        case 5:
            files[rng.choice(list(files))] = files[name]
