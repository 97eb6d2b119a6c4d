"""Runs a model in LiteRT (TensorFlow Lite) on the host: fifty times as fast as TFLM, not always equal to
it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from nas.errors import ValidationError
from nas.harness.samples import run_each, trace_each
from nas.harness.stderr import captured_stderr

Int8Array = np.ndarray[Any, np.dtype[np.int8]]
Kernels = Literal["xnnpack", "reference"]


class LiteRtModel:
    """A loaded model.

    Samples run one by one: batches, tried from 16 to 1,000, gave the same bits and no speed.
    """

    def __init__(
        self, model: bytes, kernels: Kernels = "xnnpack", threads: int = 1, every_tensor: bool = False
    ) -> None:
        """Allocate the model.

        Args:
            model: a .tflite file.
            kernels: ``xnnpack``, the default of LiteRT and fast; ``reference``, plain C++ and closest to TFLM.
            threads: of XNNPACK; one is fastest for the small networks here.
            every_tensor: keep all tensors apart, for ``trace``; with the reference kernels.

        Raises:
            ValidationError: LiteRT refuses the model.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolvers = {"xnnpack": OpResolverType.AUTO, "reference": OpResolverType.BUILTIN_REF}
        with captured_stderr():  # LiteRT announces its delegate there; errors come as exceptions
            try:
                self._interpreter = Interpreter(
                    model_content=model,
                    num_threads=threads,
                    experimental_op_resolver_type=resolvers[kernels],
                    experimental_preserve_all_tensors=every_tensor,
                )
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise ValidationError(f"LiteRT refuses the model: {error}") from error
        details = self._interpreter.get_input_details()[0]
        self._input, self._output = details["index"], self._interpreter.get_output_details()[0]["index"]
        self.input_shape = tuple(int(size) for size in details["shape"])

    def run(self, inputs: Int8Array) -> Int8Array:
        """Run samples one after another: (n, ...) int8 -> (n, classes) int8; see ``run_each``."""
        return run_each(self._run_one, inputs, self.input_shape)

    def trace(self, inputs: Int8Array, tensors: Sequence[int]) -> list[Int8Array]:
        """Run samples one after another: (n, ...) int8 -> (n, values) for each of these tensors of the file."""
        return trace_each(lambda sample: self._trace_one(sample, tensors), inputs, self.input_shape)

    def _run_one(self, sample: Int8Array) -> Int8Array:
        return self._trace_one(sample, [self._output])[0]

    def _trace_one(self, sample: Int8Array, tensors: Sequence[int]) -> list[Int8Array]:
        self._interpreter.set_tensor(self._input, sample)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index).reshape(-1) for index in tensors]
