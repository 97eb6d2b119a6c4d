from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from torch import nn

from nas.errors import InputError
from nas.export.onnx_export import export_onnx

INPUT_SHAPE = (49, 10, 1)


@pytest.mark.slow
def test_same_bytes_again_without_a_word(
    network: nn.Module, onnx_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_onnx(network, INPUT_SHAPE, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == onnx_path.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_normalisation_and_padding_are_folded_into_convolutions(onnx_path: Path) -> None:
    graph = onnx.load(onnx_path).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds == ["Conv", "Relu"] * 3 + ["AveragePool", "Reshape", "Gemm", "Softmax"]
    assert [graph.input[0].name, len(graph.input)] == ["input", 1]
    assert [size.dim_value for size in graph.input[0].type.tensor_type.shape.dim] == [1, 1, 49, 10]


def test_file_holds_no_path_of_this_machine(onnx_path: Path) -> None:
    data = onnx_path.read_bytes()
    for path in (Path.home(), Path.cwd(), Path(__file__).parent, Path(sys.prefix)):
        assert str(path).encode() not in data


def test_modes_of_the_network_are_left_alone(network: nn.Module, tmp_path: Path) -> None:
    network.train()
    network[0].eval()
    before = [module.training for module in network.modules()]
    export_onnx(network, INPUT_SHAPE, tmp_path / "model.onnx")
    assert [module.training for module in network.modules()] == before


def test_missing_folder_is_bad_input(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        export_onnx(network, INPUT_SHAPE, tmp_path / "missing" / "model.onnx")
