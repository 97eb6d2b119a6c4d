"""Small synthetic image sets, drawn by formulas: for trying the tool without a download, and for tests.

Ten shapes and textures of any colour, of varying size, place and angle, on an uneven background, with noise. A
network of 17 M ops gets 80 % of the validation images right after 15 epochs. And matchstick men
against those shapes, drawn likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.tasks.base import DataSet, Split, TrainingSplit, fingerprint
from nas.tasks.pixel_cache import resize_all

NOTICE = (
    "SYNTHETIC DATA: the images are {} drawn by a program, not photographs.\n"
    "An accuracy on it says nothing about real images; for a real result use --data DIR with {}."
)
BUILTIN_NOTICE = NOTICE.format("shapes", "CIFAR-10")
PEOPLE_NOTICE = NOTICE.format("matchstick men and shapes", "folders person and non_person")
NAME = "builtin-shapes"
SEED = 20_090_408  # other pixels than another seed; the day of the report on CIFAR-10
IMAGES_PER_CLASS = {"train": 150, "validation": 40, "test": 60}
PEOPLE_PER_CLASS = {"train": 500, "validation": 100, "test": 150}  # there are two classes, not ten

SIDE = 32  # pixels
AXIS = np.arange(SIDE) - (SIDE - 1) / 2  # pixels from the centre of the image
RADIUS = (8.0, 12.0)  # pixels
ANGLE = (-0.4, 0.4)  # radians; at any angle, 150 images of a class were too few to learn from
OFF_CENTRE = (-4.0, 4.0)  # pixels
BACKGROUND = (32.0, 223.0)  # mean grey level of each channel
CONTRAST = (80.0, 180.0)  # distance between the mean colours of shape and background, in grey levels
SLOPE = 40.0  # grey levels by which the background rises at most from the centre to the border
NOISE = (5.0, 20.0)  # deviation in grey levels
EDGE = 0.5  # pixels over which a shape fades into the background

Rng = np.random.Generator
Plane = npt.NDArray[np.float64]
Shape = Callable[[Plane, Plane], Plane]


def _box(u: Plane, v: Plane, width: float, height: float) -> Plane:
    return np.maximum(np.abs(u) - width, np.abs(v) - height)


def _disc(u: Plane, v: Plane, radius: float = 1.0) -> Plane:
    return np.hypot(u, v) - radius


# Signed distance from the border of a shape, negative inside; (u, v) are its own axes, 1 its radius.
SHAPES: dict[str, Shape] = {
    "disc": _disc,
    "ring": lambda u, v: np.abs(_disc(u, v, 0.75)) - 0.25,
    "square": lambda u, v: _box(u, v, 0.8, 0.8),
    "triangle": lambda u, v: np.maximum(0.866 * np.abs(u) - 0.5 * v, v) - 0.5,
    "cross": lambda u, v: np.minimum(_box(u, v, 1.0, 0.3), _box(u, v, 0.3, 1.0)),
    "bar": lambda u, v: _box(u, v, 1.0, 0.3),
    "half disc": lambda u, v: np.maximum(_disc(u, v), v),
    "two discs": lambda u, v: _disc(np.abs(u) - 0.6, v, 0.4),
    "stripes": lambda u, v: np.maximum(_disc(u, v), 0.2 * np.sin(8 * u)),
    "checks": lambda u, v: np.maximum(_disc(u, v), 0.2 * np.sin(6 * u) * np.sin(6 * v)),
}
CLASSES = tuple(SHAPES)
ARMS, LEGS = {"down": (0.5, 0.2), "up": (0.5, -0.7)}, {"standing": (0.15, 0.95), "astride": (0.45, 0.9)}  # hand, foot


def _limb(u: Plane, v: Plane, start: tuple[float, float], end: tuple[float, float]) -> Plane:
    """A line with round ends."""
    across, down = end[0] - start[0], end[1] - start[1]
    along = np.clip(((u - start[0]) * across + (v - start[1]) * down) / (across**2 + down**2), 0, 1)
    return _disc(u - start[0] - along * across, v - start[1] - along * down, 0.1)


def _man(hand: tuple[float, float], foot: tuple[float, float]) -> Shape:
    def draw(u: Plane, v: Plane) -> Plane:
        side = np.abs(u)
        trunk = np.minimum(_disc(u, v + 0.7, 0.25), _limb(u, v, (0, -0.5), (0, 0.25)))
        return np.minimum(trunk, np.minimum(_limb(side, v, (0, -0.3), hand), _limb(side, v, (0, 0.25), foot)))

    return draw


MEN = tuple(_man(hand, foot) for hand in ARMS.values() for foot in LEGS.values())


def generate() -> DataSet:
    """Draw ten classes of shapes on images of 32 x 32 pixels, always the same."""
    train, validation, test = _draw([(shape,) for shape in SHAPES.values()], IMAGES_PER_CLASS)
    return _data_set(NAME, CLASSES, BUILTIN_NOTICE, train, validation, test)


def generate_people(shape: tuple[int, int, int]) -> DataSet:
    """Draw matchstick men (label 1) and shapes (0), always the same, and resize them to ``shape``: (h, w, c)."""
    drawn = _draw([tuple(SHAPES.values()), MEN], PEOPLE_PER_CLASS)
    splits = (Split(resize_all(np.asarray(split.features, np.uint8), shape), split.labels) for split in drawn)
    return _data_set("builtin-people", ("non_person", "person"), PEOPLE_NOTICE, *splits)


def _data_set(
    name: str, classes: tuple[str, ...], notice: str, train: Split, validation: Split, test: Split
) -> DataSet:
    training = TrainingSplit((train.features,), train.labels)
    content = fingerprint(training, validation, test)
    return DataSet(name, True, classes, training, validation, test, (notice,), content)


def _draw(kinds: Sequence[Sequence[Shape]], counts: Mapping[str, int]) -> Iterator[Split]:
    """Draw training, validation and test images of classes, each with its kinds of shapes."""
    rng = np.random.default_rng(SEED)
    for per_class in counts.values():
        labels = rng.permutation(np.repeat(np.arange(len(kinds)), per_class))
        yield Split(_paint(_masks(kinds, labels, rng), rng), labels.astype(np.int64))


def _masks(kinds: Sequence[Sequence[Shape]], labels: npt.NDArray[np.int64], rng: Rng) -> Plane:
    """Give the share of each pixel (n, 32, 32) that a shape covers, whose size, angle and place are its own."""
    radius, angle, down, right = (
        rng.uniform(*bounds, (len(labels), 1, 1)) for bounds in (RADIUS, ANGLE, OFF_CENTRE, OFF_CENTRE)
    )
    y, x = (AXIS[:, np.newaxis] - down) / radius, (AXIS - right) / radius
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = np.empty_like(u)
    for label, shapes in enumerate(kinds):
        images = np.flatnonzero(labels == label)
        for number, shape in enumerate(shapes):
            rows = images[number :: len(shapes)]
            distance[rows] = shape(u[rows], v[rows])
    covered: Plane = np.clip(0.5 - distance * radius / EDGE, 0, 1)
    return covered


def _paint(masks: Plane, rng: Rng) -> npt.NDArray[np.uint8]:
    """Give shapes and backgrounds their colours, and everything its noise: uint8 (n, 32, 32, 3)."""
    count = (len(masks), 1, 1, 1)
    background = rng.uniform(*BACKGROUND, (*count[:3], 3))
    direction = rng.standard_normal((*count[:3], 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    slope = rng.uniform(-SLOPE, SLOPE, (2, *count)) / (SIDE / 2)
    shape = background + rng.uniform(*CONTRAST, count) * direction
    behind = background + slope[0] * AXIS[:, np.newaxis, np.newaxis] + slope[1] * AXIS[:, np.newaxis]
    mask = masks[..., np.newaxis]
    noise = rng.uniform(*NOISE, count) * rng.standard_normal((*masks.shape, 3))
    return np.asarray((mask * shape + (1 - mask) * behind + noise).round().clip(0, 255), np.uint8)
