"""Answers for 10,000 images, and for one: from uint8 pixels to the digit.

Each system is asked for one image as its users would ask: an array (784,) becomes a batch of one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mnistgpu.models import model
from speed import peers
from speed.peers import pytorch
from speed.tasks import Task

Answer = Callable[[np.ndarray], np.ndarray]  # images (m, 784) uint8 to digits (m,)


def this_project(task: Task) -> Answer:
    """`Model.predict`."""
    return model.Model(task.start, task.sizes).predict


def torch_eager(task: Task) -> Answer:
    """PyTorch in inference mode."""
    import torch

    net = pytorch.network(torch, task.layers_of(task.start))

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            X = torch.from_numpy(images).float().mul_(1 / 255)
            return net(X).argmax(dim=1).numpy()

    return answer


def onnx(task: Task) -> Answer:
    """onnxruntime on the same network, with its own choice of threads."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, value = [], [], "X"
    for i, (W, b) in enumerate(task.layers_of(task.start)):
        tensors += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b[:, 0], f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"W{i}", f"b{i}"], [f"Z{i}"], transB=1))
        value = f"Z{i}"
        if i < len(task.sizes) - 2:
            nodes.append(helper.make_node("Relu", [value], [f"A{i}"]))
            value = f"A{i}"
    floats = TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("X", floats, ["m", task.sizes[0]])]
    outputs = [helper.make_tensor_value_info(value, floats, ["m", task.sizes[-1]])]
    graph = helper.make_graph(nodes, "digits", inputs, outputs, tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def answer(images: np.ndarray) -> np.ndarray:
        X = images * np.float32(1 / 255)
        return session.run(None, {"X": X})[0].argmax(axis=1)

    return answer


SYSTEMS = {peers.THIS_PROJECT: this_project, peers.EAGER: torch_eager, "onnxruntime": onnx}


def make(task: Task, images: np.ndarray) -> tuple[dict[str, Answer], dict[str, str]]:
    """The systems that can answer, checked to answer alike; the others with the reason."""
    ready: dict[str, Answer] = {}
    missing: dict[str, str] = {}
    for name, build in SYSTEMS.items():
        try:
            ready[name] = build(task)
        except ImportError as error:
            missing[name] = f"{type(error).__name__}: {error}"
    expected = ready[peers.THIS_PROJECT](images)
    for name, answer in ready.items():
        if np.mean(answer(images) != expected) > 1e-3:  # rounding may decide between equal answers
            raise AssertionError(f"{name} gives other answers than this project")
    return ready, missing


def of_one(answer: Answer, image: np.ndarray) -> int:
    """The digit of one image (784,) uint8."""
    return int(answer(image[None])[0])
