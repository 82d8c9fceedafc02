"""A network as an ONNX model, for onnxruntime, browsers, phones and many other runtimes.

Input `images` (N, H, W), outputs `label` (N,), the names of the classes, and `probabilities`
(N, classes) float32. The operators are those of opset 17, which runtimes know since 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnistgpu import __version__
from mnistgpu.errors import UsageError
from mnistgpu.interop.exported import (
    Exported,
    Scaling,
    layers_of,
    refuse_activation,
    scaling,
)
from mnistgpu.maths.activations import LEAK, SCALE, SLOPE

OPSET, IR_VERSION = 17, 8
# The first fields of the file, ir_version and producer_name. What another tool makes of it, such as
# a quantised network, has the name of the graph too, but another producer.
MARK: bytes = bytes([0x08, IR_VERSION, 0x12, len("mnistgpu")]) + b"mnistgpu"
MOST_BYTES = 2**31 - 2**20  # a protobuf holds no more


class Graph:
    """The nodes and the constants of a model, as they are added."""

    def __init__(self, dtype: np.dtype[Any]):
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: Any, output: str = "", **attributes: Any) -> str:
        """Add a node, whose inputs are names of tensors or numbers; the name of its output."""
        from onnx import helper

        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], output, **attributes))
        return output

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant: an array as it is, or a number of the type to compute in; its name."""
        from onnx import numpy_helper

        array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=self.dtype)
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name


def relu(graph: Graph, Z: str) -> str:
    return graph.add("Relu", Z)


def leaky_relu(graph: Graph, Z: str) -> str:
    return graph.add("LeakyRelu", Z, alpha=LEAK)


def tanh(graph: Graph, Z: str) -> str:
    return graph.add("Tanh", Z)


def scaled_tanh(graph: Graph, Z: str) -> str:
    return graph.add("Mul", graph.add("Tanh", graph.add("Mul", Z, SLOPE)), SCALE)


def sigmoid(graph: Graph, Z: str) -> str:
    return graph.add("Sigmoid", Z)


def gelu(graph: Graph, Z: str) -> str:
    """0.5 Z (1 + tanh(sqrt(2 / pi) (Z + 0.044715 Z^3))): the operator Gelu is of a newer opset."""
    cube = graph.add("Mul", graph.add("Mul", Z, Z), Z)
    inner = graph.add("Add", Z, graph.add("Mul", cube, 0.044715))
    t = graph.add("Tanh", graph.add("Mul", inner, float(np.sqrt(2.0 / np.pi))))
    return graph.add("Mul", graph.add("Mul", Z, 0.5), graph.add("Add", t, 1.0))


FORMS = {
    "relu": relu,
    "leaky-relu": leaky_relu,
    "tanh": tanh,
    "scaled-tanh": scaled_tanh,
    "sigmoid": sigmoid,
    "gelu": gelu,
}


def content(network: Exported, kind: str = "uint8") -> bytes:
    """The file. kind: of the input, one of `exported.INPUTS`.

    UsageError if onnx is not installed, or if the file would be too large for its format.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        raise UsageError(
            "an ONNX file needs the package onnx; pip install 'mnistgpu[onnx]', or export to .npz"
        ) from None
    if network.parameters * network.dtype.itemsize > MOST_BYTES:
        raise UsageError(
            f"{network.parameters:,} parameters: an ONNX file holds at most 2 GiB; export to .npz, "
            "or the members of the committee one by one"
        )
    how, graph = scaling(network.levels, kind), Graph(network.dtype)
    answers(graph, network, columns(graph, how))
    labels = TensorProto.INT64 if are_numbers(network) else TensorProto.STRING
    taken = TensorProto.UINT8 if kind == "uint8" else TensorProto.FLOAT
    names = len(network.classes)
    body = helper.make_graph(
        graph.nodes,
        "mnistgpu",
        [helper.make_tensor_value_info("images", taken, ["N", *network.image_shape])],
        [
            helper.make_tensor_value_info("label", labels, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", names]),
        ],
        graph.constants,
        doc_string=f"images: {kind} (N, height, width), where {how}",
    )
    model = helper.make_model(
        body,
        producer_name="mnistgpu",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        doc_string="A dense network for handwritten digits; see metadata_props.",
    )
    helper.set_model_props(model, network.facts | {"input": f"{kind}: {how}"})
    onnx.checker.check_model(model, full_check=True)
    found: bytes = model.SerializeToString()
    return found


def columns(graph: Graph, how: Scaling) -> str:
    """Images of any grey levels as rows (N, pixels) from 0 to 1."""
    from onnx import helper

    wanted = helper.np_dtype_to_tensor_dtype(graph.dtype)
    X = graph.add("Cast", "images", to=wanted)
    if not how.is_plain:
        if how.paper:
            X = graph.add("Sub", X, how.paper)
        X = graph.add("Round", graph.add("Mul", X, how.factor))
        X = graph.add("Clip", X, 0.0, 255.0)
    return graph.add("Flatten", graph.add("Mul", X, 1.0 / 255.0), axis=1)


def answers(graph: Graph, network: Exported, X: str) -> None:
    """The outputs `label` and `probabilities`, from rows of pixels from 0 to 1."""
    from onnx import TensorProto

    shares, logits = [], ""
    for number, member in enumerate(network.members, 1):
        if member.activation not in FORMS:
            raise refuse_activation(member.activation, ".onnx")
        A = X
        for layer, (W, b) in enumerate(layers_of(member), 1):
            of_layer = f"member{number}_" if len(network.members) > 1 else ""
            weights = graph.constant(W.astype(graph.dtype), f"{of_layer}W{layer}")
            bias = graph.constant(b[:, 0].astype(graph.dtype), f"{of_layer}b{layer}")
            if layer > 1:
                A = FORMS[member.activation](graph, A)
            A = graph.add("Gemm", A, weights, bias, transB=1)
        logits = A
        shares.append(graph.add("Softmax", A, axis=1))
    mean = shares[0]
    if len(shares) > 1:
        mean = graph.add("Mul", graph.add("Sum", *shares), 1.0 / len(shares))
    graph.add("Cast", mean, output="probabilities", to=TensorProto.FLOAT)
    # as `Model.predict`: of the logits, which rounding makes equal less often than probabilities
    best = graph.add("ArgMax", logits if len(shares) == 1 else mean, axis=1, keepdims=0)
    kind = np.int64 if are_numbers(network) else np.object_
    graph.add("Gather", np.array(network.classes, dtype=kind), best, output="label")


def are_numbers(network: Exported) -> bool:
    """Whether every class is named by a whole number; else all names are texts."""
    return all(isinstance(name, int) for name in network.classes)
