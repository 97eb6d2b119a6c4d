"""Training of the MLPerf Tiny DS-CNN: samples per second of our loop, a plain PyTorch loop and plain Keras, in one run.

    python benchmarks/training_speed.py --data speech_commands/ --threads 2

All train the same network (batch norm after each convolution, no dropout) on the same features in batches of 100, with
AdamW and smoothed labels, in float32 on a CPU, and each hides a run of frames and a run of coefficients of each sample:

- ours: ``nas.training.loop.train`` with the task's own recipe.
- PyTorch: ``Dataset`` and ``DataLoader`` as in its tutorials, a sample augmented when it is asked for, in NumPy;
  in the process itself, and in two worker processes that stay alive.
- Keras: ``Model.fit`` on a ``tf.data`` pipeline over arrays in memory, whole batches augmented in a parallel ``map``
  and prefetched, as its guide to performance advises; XLA as Keras decides, which is not on a CPU.

The plain ones read only the clean samples, ours one of eight variants of each. Every method has a process of its own,
and they take turns: one epoch each a round, after one that does not count, while the others wait. Ratios are medians
over the rounds. CPU seconds are those of all threads and processes of a method; on a machine with other work they tell
more than the clock, and so does one thread: OpenMP's threads, which PyTorch works with, then wait for each other.
Without ``--data``: noise of the shape of the features.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nas.tasks import get_task
from nas.tasks.base import DataSet, Split, TrainingSplit

NETWORK = "kws_ds_cnn:mlperf-ds-cnn"
SHAPE = (49, 10)  # frames, coefficients
CLASSES, CHANNELS, BLOCKS, BATCH = 12, 64, 4, 100
RANDOM_SAMPLES = 7401
LEARNING_RATE, WEIGHT_DECAY, SMOOTHING = 1e-3, 1e-2, 0.1  # of the plain loops; their values cost no time
HIDDEN = (8, 2)  # of each kind at most, as in search_spaces/recipes/kws.toml
OURS = "ours"

Epoch = Callable[[], dict[str, float]]


def ours(data: DataSet, threads: int) -> Epoch:
    """Our loop; it tells the share of the input itself."""
    import torch

    from nas.models.network import build_network
    from nas.space.lookup import find_architecture
    from nas.training.data import training_data
    from nas.training.loop import train
    from nas.training.recipe import load_recipe

    torch.set_num_threads(threads)
    task = get_task("kws")
    tensors = training_data(data, task.input_quantization, torch.device("cpu"))
    network = build_network(find_architecture(NETWORK).graph, seed=0)

    def epoch() -> dict[str, float]:
        (only,) = train(network, tensors, load_recipe(task).with_(epochs=1), seed=0)
        return {"input": only.input_share}

    return epoch


def plain_torch(data: DataSet, threads: int, workers: int = 0) -> Epoch:
    """What a tutorial writes."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(threads)

    class Clips(Dataset[tuple[Any, int]]):
        def __init__(self) -> None:
            self.features, self.labels = clean(data).transpose(0, 3, 1, 2), data.train.labels

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, row: int) -> tuple[Any, int]:
            return torch.from_numpy(hidden_runs(self.features[row])), int(self.labels[row])

    def convolution(channels: int, kernel: tuple[int, int], **options: Any) -> nn.Module:
        conv = nn.Conv2d(channels, CHANNELS, kernel, bias=False, **options)
        return nn.Sequential(conv, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True))

    def block() -> nn.Module:
        depthwise = convolution(CHANNELS, (3, 3), padding=1, groups=CHANNELS)
        return nn.Sequential(depthwise, convolution(CHANNELS, (1, 1)))

    stem = convolution(1, (10, 4), stride=2, padding=(5, 1))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES))
    model = nn.Sequential(stem, *(block() for _ in range(BLOCKS)), *head)
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    loader = DataLoader(Clips(), batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def epoch() -> dict[str, float]:
        model.train()
        total = 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return {}

    return epoch


def torch_workers(data: DataSet, threads: int) -> Epoch:
    """The same with samples from two worker processes."""
    return plain_torch(data, threads, workers=2)


def keras(data: DataSet, threads: int) -> Epoch:
    """What a user of Keras writes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.set_visible_devices([], "GPU")  # as the others
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)

    def runs(count: Any, length: int, longest: int) -> Any:
        size = tf.random.uniform((count, 1), 0, longest + 1, tf.int32)
        start = tf.cast(tf.random.uniform((count, 1)) * tf.cast(length - size + 1, tf.float32), tf.int32)
        position = tf.range(length)
        return (position >= start) & (position < start + size)

    def augment(batch: Any, labels: Any) -> tuple[Any, Any]:
        frames, coefficients = (runs(tf.shape(batch)[0], *each) for each in zip(SHAPE, HIDDEN, strict=True))
        hidden = frames[:, :, None, None] | coefficients[:, None, :, None]
        return tf.where(hidden, tf.reduce_mean(batch, axis=1, keepdims=True), batch), labels

    def convolution(kind: Any, *options: Any, **more: Any) -> list[Any]:
        conv = kind(*options, padding="same", use_bias=False, **more)
        return [conv, layers.BatchNormalization(), layers.ReLU()]

    stem = convolution(layers.Conv2D, CHANNELS, (10, 4), strides=2)
    blocks = [convolution(layers.DepthwiseConv2D, 3) + convolution(layers.Conv2D, CHANNELS, 1) for _ in range(BLOCKS)]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
    model = keras.Sequential([layers.Input((*SHAPE, 1)), *stem, *itertools.chain(*blocks), *head])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
    model.compile(optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY), loss=loss)
    labels = keras.utils.to_categorical(data.train.labels, CLASSES)
    arrays = tf.data.Dataset.from_tensor_slices((clean(data), labels)).shuffle(len(labels)).batch(BATCH)
    batches = arrays.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def epoch() -> dict[str, float]:
        model.fit(batches, shuffle=False, verbose=0)  # the pipeline shuffles
        return {}

    return epoch


METHODS: dict[str, Callable[[DataSet, int], Epoch]] = {
    OURS: ours,
    "PyTorch, DataLoader in the process": plain_torch,
    "PyTorch, DataLoader with 2 workers": torch_workers,
    "Keras, tf.data": keras,
}


def hidden_runs(sample: np.ndarray) -> np.ndarray:
    """A copy of a sample (1, frames, coefficients) with a run of each hidden behind the means of its coefficients."""
    sample, mean = sample.copy(), sample.mean(axis=1, keepdims=True)
    frames, coefficients = (np.random.randint(longest + 1) for longest in HIDDEN)
    frame, coefficient = np.random.randint(SHAPE[0] - frames + 1), np.random.randint(SHAPE[1] - coefficients + 1)
    sample[:, frame : frame + frames] = mean
    columns = slice(coefficient, coefficient + coefficients)
    sample[:, :, columns] = mean[:, :, columns]
    return sample


def clean(data: DataSet) -> np.ndarray:
    """Training samples (n, h, w, c), float32, in memory."""
    return np.array(next(iter(data.train.features)), np.float32)


def load(source: str | None) -> DataSet:
    """The recordings, or noise."""
    if source is not None:
        return get_task("kws").load(source)
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=RANDOM_SAMPLES)
    variants = rng.normal(scale=30, size=(8, RANDOM_SAMPLES, *SHAPE, 1)).astype(np.float32)
    some = Split(variants[0, :BATCH], labels[:BATCH])
    return DataSet("noise", True, get_task("kws").classes, TrainingSplit(tuple(variants), labels), some, some)


@dataclass(frozen=True, slots=True)
class Turn:
    """One epoch of one method: by the clock, and in CPU time."""

    seconds: float
    cpu_seconds: float
    input: float | None = None


def work(method: str, source: str | None, threads: int) -> None:
    """The process of one method: for each line of input an epoch, and its ``Turn`` as JSON on a line of output."""
    data = load(source)
    epoch = METHODS[method](data, threads)
    print(len(data.train), flush=True)  # noqa: T201
    for _ in sys.stdin:
        started, cpu = time.perf_counter(), cpu_seconds()
        told = epoch()
        turn = {"seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds() - cpu, **told}
        print(json.dumps(turn), flush=True)  # noqa: T201


def cpu_seconds() -> float:
    """Of this process and its living children, so far; without the latter where there is no ``/proc``."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        stat = Path(f"/proc/{child.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


class Worker:
    """The process of a method, seen from outside."""

    def __init__(self, method: str, data: str | None, threads: int) -> None:
        command = [sys.executable, __file__, "--threads", str(threads), "--method", method]
        command += [] if data is None else ["--data", data]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.samples = int(self._answer())
        self.turn()

    def turn(self) -> Turn:
        """One epoch."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Turn(**json.loads(self._answer()))

    def end(self) -> None:
        """No more turns."""
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of Speech Commands, or builtin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.method:
        work(asked.method, asked.data, asked.threads)
        return
    workers = {method: Worker(method, asked.data, asked.threads) for method in METHODS}
    rounds = [{method: worker.turn() for method, worker in workers.items()} for _ in range(asked.rounds)]
    for worker in workers.values():
        worker.end()
    samples = workers[OURS].samples
    title = f"{NETWORK}, {samples:,} samples of {asked.data or 'noise'}, batch {BATCH}, {asked.threads} threads"
    Console(width=120).print(table(title, samples, rounds))


def table(title: str, samples: int, rounds: list[dict[str, Turn]]) -> Table:
    """Medians over the rounds; "ours is" so many times as fast."""
    drawn = Table("method", "samples/s", "ours is", "samples/CPU s", "ours is", "input", title=title)
    for method in METHODS:
        turns = [turns[method] for turns in rounds]
        cells = []
        for clock in ("seconds", "cpu_seconds"):
            taken = [getattr(turn, clock) for turn in turns]
            ratios = [getattr(turns[method], clock) / getattr(turns[OURS], clock) for turns in rounds]
            cells += [f"{samples / statistics.median(taken):,.0f}", f"{statistics.median(ratios):.2f} x"]
        shares = [turn.input for turn in turns if turn.input is not None]
        drawn.add_row(method, *cells, f"{statistics.median(shares):.1%}" if shares else "")
    return drawn


if __name__ == "__main__":
    main()
