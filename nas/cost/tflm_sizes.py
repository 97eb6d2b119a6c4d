"""What TensorFlow Lite Micro puts into the tail of its arena: bytes of each structure and of each kernel's state.

Two machines. ``HOST`` is the ``tflite-micro`` wheel 0.dev20261023182759: x86-64, reference kernels, compression built
in, recording allocator. Every number of it was read off the calls of ``AllocatePersistentBuffer(size, alignment)`` that
the wheel makes while it loads models of one operator each. With them the arena is exact on all of some 850 models of
one subgraph that the wheel loads: one operator, random graphs, converted Keras networks. ``tests/data/models`` holds
every kind.

``CORE`` is a 32-bit core: 4-byte pointers and enumerations, no compression, plain allocator. Its numbers are those of
TFLM as wasm32 (git 18b9e6f, ``-DTF_LITE_STATIC_MEMORY``, PyPI ``mcufit`` 0.5.2), read off its table of allocations. How
good the 32-bit figure is:

- wasm32: the tail is exact on 462 of 462 models, the six references of MLPerf Tiny among them, once ``interpreter`` is
  2,256: that program also allocates 100 resource variables and records. Ours is 2,128 bytes lower on all six.
- ESP32: mcufit's authors measured 2,128 bytes less than wasm32 on a real one, on each of four models, by their names
  three of those six. That is our figure to the byte, if the files are the same, which was not compared.
- Arm, same TFLM: at most our figure. ``arm-none-eabi-gcc`` packs an enumeration into one byte: a ``TfLiteTensor`` takes
  32 bytes instead of 40 (one for each input and output), parameters of FULLY_CONNECTED 11 less, of ADD and SUB 6 less,
  of convolution and pooling nothing; in all 0.3 % of the arena or less on the six but ad01 (5 % of 2,380). This follows
  from the structures and was not measured, hence it is not subtracted.
- another TFLM: unknown. On an Arm Nano 33 BLE with the library of Chirale, an older snapshot, the same authors measured
  744 to 1,912 bytes less than wasm32, so 216 to 1,384 bytes more than our figure. Optimised kernels such as CMSIS-NN
  keep other state, and add scratch buffers to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes of TFLM's own structures on one kind of machine."""

    interpreter: int
    """Allocators, planner and one ``SubgraphAllocations``."""
    tensor: int
    """``TfLiteEvalTensor``: one for each tensor, constants too."""
    node: int
    """``NodeAndRegistration``: one for each operator."""
    pointer: int
    """Also ``ScratchBufferHandle``, and the alignment of all these structures."""
    full_tensor: int
    """``TfLiteTensor``: one for each input and output of the model."""
    quantization: int
    """``TfLiteAffineQuantization`` of a quantised input or output; its zero points follow, 4 + 4 n bytes for n."""


# 104 SingleArenaBufferAllocator + 72 GreedyMemoryPlanner + 272 MicroAllocator (both allocators the recording ones)
# + 16 MicroBuiltinDataAllocator + 24 SubgraphAllocations
HOST = Machine(interpreter=488, tensor=24, node=64, pointer=8, full_tensor=64, quantization=24)
# 36 + 44 + 40 + 8 + 8 for the same five, by their fields; with the recording ones, 52 and 124, it is the 236 of wasm32
CORE = Machine(interpreter=136, tensor=12, node=32, pointer=4, full_tensor=40, quantization=12)


class Size(NamedTuple):
    """One allocation."""

    size: int
    alignment: int


NOTHING = Size(0, 1)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One operator kind: what its parser and its ``Init`` ask for; what depends on shapes is in ``kernel_memory``."""

    parameters: Size = NOTHING
    """Structure of builtin parameters (``TfLite...Params``), packed one after the other."""
    state: int = 0
    """Kernel state (``OpData...``), aligned to 16."""
    core_state: int | None = None
    """The same on a 32-bit core where it differs: pointers, ``size_t`` and the fields for compressed tensors."""
    core_parameters: Size | None = None

    def parameters_on(self, machine: Machine) -> Size:
        """Size and alignment of the builtin parameters."""
        return self.parameters if machine is HOST or self.core_parameters is None else self.core_parameters

    def state_on(self, machine: Machine) -> int:
        """Bytes of the kernel state."""
        return self.state if machine is HOST or self.core_state is None else self.core_state


_CONV = Size(28, 4)  # TfLiteConvParams, TfLiteDepthwiseConvParams: seven fields
_POOL = Size(40, 4)  # TfLitePoolParams: six fields and the computed padding
_REDUCER = Size(1, 1)  # TfLiteReducerParams: keep_dims
_INT = Size(4, 4)  # one number or enumeration
_TWO = Size(8, 4)  # two of them
_RESIZE = Size(2, 1)  # align_corners, half_pixel_centers
_DIMENSIONS = Size(36, 4)  # TfLiteReshapeParams, TfLiteSqueezeParams: eight dimensions and their count

KERNELS: Mapping[str, Kernel] = {
    # convolutions and matrices: per-channel vectors are pointers, two scratch indices serve compressed weights
    "CONV_2D": Kernel(_CONV, 80, 56),  # OpDataConv
    "DEPTHWISE_CONV_2D": Kernel(_CONV, 80, 56),  # OpDataConv
    "TRANSPOSE_CONV": Kernel(Size(20, 4), 88, 72),  # OpData: ConvParams and the same
    "FULLY_CONNECTED": Kernel(Size(32, 8), 72, 48, Size(16, 4)),  # OpDataFullyConnected
    "BATCH_MATMUL": Kernel(Size(3, 1), 32, 16),  # OpData: three pointers and a flag
    "SVDF": Kernel(Size(12, 4), 36),  # OpDataSvdf
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Kernel(Size(16, 4), 688),  # OpDataLSTM: four gates, no pointers
    "EMBEDDING_LOOKUP": Kernel(),
    # pooling and reduction
    "AVERAGE_POOL_2D": Kernel(_POOL, 32),  # OpDataPooling
    "MAX_POOL_2D": Kernel(_POOL, 32),
    "L2_POOL_2D": Kernel(_POOL),
    "MEAN": Kernel(_REDUCER, 44),  # OpDataReduce
    "SUM": Kernel(_REDUCER, 44),
    "REDUCE_MAX": Kernel(_REDUCER, 44),
    "REDUCE_MIN": Kernel(_REDUCER, 44),
    "REDUCE_ALL": Kernel(_REDUCER, 44),
    "ARG_MAX": Kernel(_INT),
    "ARG_MIN": Kernel(_INT),
    "CUMSUM": Kernel(Size(2, 1)),  # TfLiteCumsumParams: exclusive, reverse
    # arithmetic of two operands
    "ADD": Kernel(_TWO, 60),  # OpDataAdd
    "SUB": Kernel(_TWO, 52),  # OpDataSub
    "MUL": Kernel(_INT, 36),  # OpDataMul
    "DIV": Kernel(_INT, 28),  # OpDataDiv
    "SQUARED_DIFFERENCE": Kernel(state=112),  # OpData: ArithmeticParams with 64-bit ranges
    "ADD_N": Kernel(),
    "MAXIMUM": Kernel(),
    "MINIMUM": Kernel(),
    "FLOOR_DIV": Kernel(),
    "FLOOR_MOD": Kernel(),
    "EQUAL": Kernel(state=32),  # OpData of comparisons.cc
    "NOT_EQUAL": Kernel(state=32),
    "GREATER": Kernel(state=32),
    "GREATER_EQUAL": Kernel(state=32),
    "LESS": Kernel(state=32),
    "LESS_EQUAL": Kernel(state=32),
    "LOGICAL_AND": Kernel(),
    "LOGICAL_OR": Kernel(),
    "SELECT_V2": Kernel(state=1),  # OpData: requires_broadcast
    # functions of one operand
    "RELU": Kernel(state=28),  # ReluOpData
    "RELU6": Kernel(state=8),  # Relu6OpData
    "LEAKY_RELU": Kernel(_INT, 24),  # LeakyReluOpData
    "PRELU": Kernel(state=28),  # PreluParams
    "ELU": Kernel(state=256),  # OpData: a table with one entry for each int8
    "HARD_SWISH": Kernel(state=20),  # HardSwishParams
    "LOGISTIC": Kernel(state=16),  # OpDataLogistic
    "TANH": Kernel(state=16),  # OpData of tanh.cc
    "SOFTMAX": Kernel(_INT, 80, 56),  # SoftmaxParams: five pointers to tables
    "LOG_SOFTMAX": Kernel(),
    "L2_NORMALIZATION": Kernel(_INT, 4),  # L2NormalizationParams
    "ABS": Kernel(state=28),  # OpDataAbsRsqrt
    "RSQRT": Kernel(state=28),
    "CEIL": Kernel(),
    "COS": Kernel(),
    "EXP": Kernel(),
    "FLOOR": Kernel(),
    "LOG": Kernel(),
    "LOGICAL_NOT": Kernel(),
    "NEG": Kernel(),
    "ROUND": Kernel(),
    "SIN": Kernel(),
    "SQRT": Kernel(),
    "SQUARE": Kernel(),
    "ZEROS_LIKE": Kernel(),
    # change of type
    "CAST": Kernel(_TWO),
    "QUANTIZE": Kernel(state=32),  # OpDataQuantizeReference
    "DEQUANTIZE": Kernel(state=32),  # DequantizeOpData
    # change of shape or place
    "RESHAPE": Kernel(_DIMENSIONS),
    "SQUEEZE": Kernel(_DIMENSIONS),
    "EXPAND_DIMS": Kernel(),
    "SHAPE": Kernel(_INT),
    "FILL": Kernel(),
    "PAD": Kernel(state=56),  # OpData of pad.h: PadParams and a zero point
    "PADV2": Kernel(state=56),
    "MIRROR_PAD": Kernel(_INT, 20),  # OpDataMirrorPad
    "CONCATENATION": Kernel(_TWO, 80, 24),  # OpData: ConcatenationParams; ten scratch indices for compressed inputs
    "PACK": Kernel(_TWO),
    "UNPACK": Kernel(_TWO),
    "SPLIT": Kernel(_INT),
    "SPLIT_V": Kernel(_INT),
    "SLICE": Kernel(),
    "STRIDED_SLICE": Kernel(Size(24, 4), 84),  # StridedSliceParams
    "DYNAMIC_UPDATE_SLICE": Kernel(),
    "GATHER": Kernel(_TWO),
    "GATHER_ND": Kernel(),
    "TRANSPOSE": Kernel(),
    "REVERSE_V2": Kernel(),
    "BROADCAST_ARGS": Kernel(),
    "BROADCAST_TO": Kernel(),
    "RESIZE_BILINEAR": Kernel(_RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": Kernel(_RESIZE),
    "DEPTH_TO_SPACE": Kernel(_INT),
    "SPACE_TO_DEPTH": Kernel(_INT),
    "BATCH_TO_SPACE_ND": Kernel(),
    "SPACE_TO_BATCH_ND": Kernel(state=4),  # SpaceToBatchParams
}
