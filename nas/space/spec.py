"""The schema of a search-space file: TOML in, checked data out, errors that name file, table and key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from nas.errors import SpecError
from nas.space.blocks import BLOCKS, HEADS, BlockKind

MAX_WIDTH = 4096  # channels; far above what a microcontroller holds, low enough to catch a slip of the finger
MAX_REPEAT = 64

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class Table(BaseModel):
    """A TOML table: unknown keys are errors, values never change their type, and every number is finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)


def _options(value: Any) -> Any:
    """An integer, a list of integers, or ``{ from = 4, to = 276, step = 4 }`` (both ends belong to it)."""
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else (value,)
    start, stop, step = (value.get(key, default) for key, default in (("from", 0), ("to", 0), ("step", 1)))
    integers = all(type(number) is int for number in (start, stop, step))
    if not set(value) <= {"from", "to", "step"} or not (integers and min(start, stop - 1, step - 1) >= 0):
        raise ValueError(f"a range is {{ from = 4, to = 276, step = 4 }} in numbers above zero, found {value}")
    if stop < start or (stop - start) % step:
        raise ValueError(f"from {start} in steps of {step} does not reach {stop}")
    if (stop - start) // step > MAX_WIDTH:
        raise ValueError(f"the range from {start} to {stop} has more than {MAX_WIDTH:,} options")
    return tuple(range(start, stop + 1, step))


def _kernels(value: Any) -> Any:
    """``[3, 3]`` is one kernel, ``[[3, 3], [5, 5]]`` is a choice of two."""
    many = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    return tuple(tuple(kernel) if isinstance(kernel, list) else kernel for kernel in many)


def _strides(value: Any) -> Any:
    """``2`` along both axes, or ``[1, 2]``; ``[[1, 1], [2, 2]]`` is a choice of two."""
    return _kernels(value if isinstance(value, list) else [value, value])


def _kinds(value: Any) -> Any:
    """``"ds"``, or ``["ds", "ibn"]`` for a choice of two."""
    return tuple(value) if isinstance(value, list) else (value,)


Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=1 << 20)]  # costs take memory in proportion, and are computed as floats too
Strides = Annotated[tuple[tuple[Side, Side], ...], BeforeValidator(_strides), Field(min_length=1)]
Kinds = Annotated[tuple[str, ...], BeforeValidator(_kinds), Field(min_length=1)]
Options = Annotated[tuple[Count, ...], BeforeValidator(_options), Field(min_length=1)]
Repeats = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_options), Field(min_length=1)]
Kernels = Annotated[tuple[tuple[Side, Side], ...], BeforeValidator(_kernels), Field(min_length=1)]
Shape = Annotated[tuple[Side, Side, Side], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]


class StageSpec(Table):
    """One ``[[stage]]``: ``repeat`` blocks, all of one of its ``kinds``; the stride belongs to the first of them.

    A stage that may have no blocks may be left out. ``hidden`` is of the kinds that have such channels.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]  # decisions and layers are named STAGE.NUMBER.PART
    kinds: Kinds = Field(alias="kind")
    kernel: Kernels = ((1, 1),)  # kinds over maps must give it, kinds over vectors have none
    strides: Strides = Field(((1, 1),), alias="stride")
    width: Options
    hidden: Options = (0,)  # channels inside a block; 0: the kind has none
    repeat: Repeats = (1,)

    @property
    def block_kinds(self) -> tuple[BlockKind, ...]:
        """Return the record of each of its kinds.

        Raises:
            ValueError: there is no such kind; lists what there is.
        """
        if unknown := [kind for kind in self.kinds if kind not in BLOCKS]:
            raise ValueError(f"kind: {unknown[0]!r} is not a block kind; there are {', '.join(BLOCKS)}")
        return tuple(BLOCKS[kind] for kind in self.kinds)

    @property
    def over_vectors(self) -> bool:
        """Whether its blocks take vectors."""
        return self.block_kinds[0].over_vectors

    @model_validator(mode="after")
    def _window(self) -> StageSpec:
        """Kinds over maps have a kernel and may have a stride, those over vectors neither."""
        named = f"a stage of kind {' or '.join(self.kinds)}"
        if len({kind.over_vectors for kind in self.block_kinds}) > 1:
            raise ValueError(f"kind: {named} takes maps or vectors, not both")
        if self.over_vectors == ("kernel" in self.model_fields_set):
            raise ValueError(f"kernel: {named} {'has none' if self.over_vectors else 'needs it'}")
        if self.over_vectors and self.strides != ((1, 1),):
            raise ValueError(f"stride: {named} has none, found {list(self.strides[0])}")
        return self

    @model_validator(mode="after")
    def _structure(self) -> StageSpec:
        """Kinds and strides do not repeat, and every kind may have every stride."""
        for key, values in (("kind", self.kinds), ("stride", self.strides)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: options must not repeat, found {list(values)}")
        for kind, known in zip(self.kinds, self.block_kinds, strict=True):
            for stride in self.strides:
                if known.square_stride and stride[0] != stride[1]:
                    raise ValueError(f"stride: a stage of kind {kind} has one for both axes, found {list(stride)}")
        return self

    @model_validator(mode="after")
    def _possible(self) -> StageSpec:
        named = f"a stage of kind {' or '.join(self.kinds)}"
        has_hidden = any(kind.has_hidden for kind in self.block_kinds)
        if has_hidden != (self.hidden != (0,)):
            raise ValueError(f"hidden: {named} {'needs it' if has_hidden else 'has none'}")
        for key, options, most in (
            ("width", self.width, MAX_WIDTH),
            ("hidden", self.hidden, MAX_WIDTH),
            ("repeat", self.repeat, MAX_REPEAT),
        ):
            if list(options) != sorted(set(options)):
                raise ValueError(f"{key}: options must rise and not repeat, found {list(options)}")
            if options[-1] > most:
                raise ValueError(f"{key}: {options[-1]} is above the largest possible, {most}")
        areas = [height * width for height, width in self.kernel]
        if areas != sorted(areas) or len(set(self.kernel)) < len(self.kernel):
            found = [list(kernel) for kernel in self.kernel]
            raise ValueError(f"kernel: options must rise in area and not repeat, found {found}")
        if self.repeat != tuple(range(self.repeat[0], self.repeat[-1] + 1)):
            raise ValueError(f"repeat: must be consecutive numbers, found {list(self.repeat)}")
        return self


class HeadSpec(Table):
    """``[head]``."""

    kind: str

    @model_validator(mode="after")
    def _known(self) -> HeadSpec:
        if self.kind not in HEADS:
            raise ValueError(f"kind: {self.kind!r} is not a head; there are {', '.join(HEADS)}")
        return self


class PointSpec(Table):
    """``[[point]]``: a published network of the space, by the widths of its blocks.

    A stage that is not named in ``width`` is left out; in the other tables, it takes its first option.
    """

    name: Name
    source: str
    score: Annotated[float, Field(ge=0, le=1)] | None = None  # published accuracy or AUC of its INT8 file
    width: dict[str, list[int]]
    hidden: dict[str, list[int]] = {}
    kind: dict[str, str] = {}
    stride: dict[str, Annotated[tuple[Side, Side], BeforeValidator(lambda value: _strides(value)[0])]] = {}
    kernel: dict[str, Annotated[tuple[Side, Side], BeforeValidator(lambda value: _kernels(value)[0])]] = {}


class SpaceSpec(Table):
    """A whole space file."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    task: Name
    description: str
    source: str
    input: Shape
    classes: Side  # values of the output; an autoencoder has as many as its input
    stage: list[StageSpec] = Field(min_length=1)
    head: HeadSpec
    point: list[PointSpec] = []

    @model_validator(mode="after")
    def _distinct(self) -> SpaceSpec:
        for table, entries in (("stage", self.stage), ("point", self.point)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError(f"{table}: names must differ, found {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _maps_or_vectors(self) -> SpaceSpec:
        """A flattened map has another order in torch than in TFLite, so that a space is all of one sort."""
        vectors = HEADS[self.head.kind].over_vectors
        for stage in self.stage:
            if stage.over_vectors != vectors:
                kinds = sorted(name for name, kind in BLOCKS.items() if kind.over_vectors == vectors)
                raise ValueError(f"stage: with the head {self.head.kind}, {stage.name} must be {' or '.join(kinds)}")
        if all(stage.repeat[0] == 0 for stage in self.stage):
            raise ValueError("stage: every stage may be left out; one must have a repeat from 1")
        if vectors and self.input[:2] != (1, 1):
            raise ValueError(f"input: dense stages take a vector, [1, 1, n], found {list(self.input)}")
        return self


SpecT = TypeVar("SpecT", bound=Table)


def read_toml(path: Path, schema: type[SpecT]) -> SpecT:
    """Read a data file against its schema.

    Raises:
        SpecError: unreadable, not TOML, an unknown key, a wrong type or an impossible value; names table and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise SpecError(path, "", f"cannot be read: {cause}") from cause
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as cause:  # a ValueError too: a number of more than 4,300 digits
        raise SpecError(path, "", f"not TOML: {cause}") from cause
    try:
        return schema.model_validate(data)
    except ValidationError as cause:
        raise SpecError(path, *_first_problem(cause, data)) from cause


def _first_problem(cause: ValidationError, data: dict[str, Any]) -> tuple[str, str]:
    """Table and key of the first violation, and what is wrong there, in the words of the file."""
    error = cause.errors(include_url=False)[0]
    table = ""
    value: Any = data
    part: Any
    for part in error["loc"]:
        if isinstance(part, int):
            item = value[part] if _has(value, part) else None
            named = item.get("name") if isinstance(item, dict) else None
            table += f"[{named or part + 1}]"
        else:
            table += f".{part}" if table else part
        value = value[part] if _has(value, part) else {}
    problem = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        problem = "unknown key" + _nearest(cause.title, error["loc"])
    elif error["type"] == "missing":
        problem = "key is missing"
    elif not isinstance(error["input"], dict | list):
        problem += f", found {error['input']!r}"
    return table, problem


def _has(value: Any, part: Any) -> bool:
    return (
        part in value
        if isinstance(value, dict)
        else isinstance(value, list) and isinstance(part, int) and part < len(value)
    )


def _nearest(title: str, loc: tuple[int | str, ...]) -> str:
    """The known key that an unknown one was probably meant to be."""
    import difflib

    known = {name for schema in Table.__subclasses__() for name in _keys(schema)}
    close = difflib.get_close_matches(str(loc[-1]), sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _keys(schema: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in schema.model_fields.items()}
