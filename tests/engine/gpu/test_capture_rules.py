"""A step obeys the rules of a capture, which the stand-in enforces; a failed one leaves no trace.

No shape and no index of a step may depend on data: array-api-strict shows that.
"""

import gc
import types

import numpy as np
import pytest
from helpers.spaces import Space
from helpers.step_cases import BASE, CASES, IMAGES
from helpers.tape import CaptureError, Tape, Taped, TapeRecorder

from mnistgpu.backend import NUMPY, with_out
from mnistgpu.data import Digits
from mnistgpu.engine.gpu import recorder as recorder_module
from mnistgpu.engine.gpu.cuda_graph import StepGraph, stepping
from mnistgpu.engine.gpu.recorder import CudaRecorder
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError


def test_a_capture_that_fails_leaves_the_stream():
    """CudaRecorder ends its capture, gives the reason on, and records under its own pool."""
    events = []

    class Stream:
        def __init__(self, non_blocking):
            events.append("stream" if non_blocking else "blocking")

        def synchronize(self):
            events.append("synchronize")

        def begin_capture(self):
            events.append("begin")

        def end_capture(self):
            events.append("end")
            return type("Graph", (), {"launch": lambda self, stream: events.append("launch")})()

        def __enter__(self):
            events.append("enter")

        def __exit__(self, *exception):
            events.append("exit")

    class Using:
        def __init__(self, allocator):
            assert allocator == "private"

        __enter__ = lambda self: events.append("private pool")  # noqa: E731
        __exit__ = lambda self, *exception: events.append("usual pool")  # noqa: E731

    namespace = type("Namespace", (), {})
    cupy, pool = namespace(), namespace()
    cupy.cuda, pool.malloc = namespace(), "private"
    cupy.cuda.Stream, cupy.cuda.using_allocator = Stream, Using
    cupy.cuda.MemoryPool = lambda: pool
    cupy.empty = lambda size, dtype: events.append("slack")
    cupy.cuda.get_current_stream = lambda: Stream(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "Cublas", lambda cupy: types.SimpleNamespace(product=str))
        recorder = CudaRecorder(cupy, "float32")
    step = lambda: events.append("step" if not gc.isenabled() else "collected")  # noqa: E731
    recorder.record(3 * [step])()
    assert gc.isenabled()
    warm = ["private pool", *4 * ["step"], "slack", "synchronize"]
    recorded = [*warm, "begin", "step", "step", "step", "end", "usual pool"]
    assert events == ["stream", *recorded, "launch"]
    events.clear()

    def breaks():
        events.append("step")
        if events.count("step") == 6:
            raise NotImplementedError("cuBLAS")

    with pytest.raises(NotImplementedError):
        recorder.record(3 * [breaks])
    assert gc.isenabled()
    assert events[-3:] == ["step", "end", "usual pool"]
    events.clear()
    with recorder.running():
        events.append("inside")
    assert events == ["stream", "synchronize", "enter", "inside", "synchronize", "exit"]


def test_without_a_gpu_the_setting_is_refused(digits):
    trainer = Trainer(BASE.changed(graph=True), Digits(*digits, "digits"), NUMPY)
    with pytest.raises(UsageError, match=r"--graph .*--backend cupy"), stepping(trainer, print):
        pass


def test_the_stand_in_forbids_what_a_capture_forbids():
    tape = Tape()
    array = Taped(np.ones((2, 2)), tape)
    for forbidden in (
        lambda: float(array[0, 0]),
        lambda: bool(array[0, 0] > 0),
        lambda: array @ array,
        lambda: tape.argsort(array),
        lambda: tape.asarray(np.ones(2)),
        lambda: np.asarray(array),
    ):
        with pytest.raises(CaptureError):
            TapeRecorder(tape).record([lambda f=forbidden: tape.entries is None or f()])
    assert tape.entries is None


@pytest.fixture
def digits(digits):
    return tuple(each[:IMAGES] for each in digits)


STEPS = {name: changes for name, changes in CASES.items() if name != "float64, tanh"} | {
    "everything": {
        "elastic": 1.0, "rotation": 12.0, "rotation_1_7": 6.0, "hidden_noise": 0.2,
        "batch_norm": True, "hidden_dropout": 0.1, "optimizer": "adam", "l2": 1e-4,
    }
}  # fmt: skip


@pytest.mark.parametrize("changes", STEPS.values(), ids=STEPS)
def test_no_shape_and_no_index_of_a_step_depends_on_data(digits, changes):
    settings, space = BASE.changed(**changes), Space("array-api-strict")
    strict, backend = space.xp, space.backend()
    with space.strictest():
        trainer = Trainer(settings, Digits(*digits, "digits"), backend)
        before = backend.to_numpy(trainer.theta).copy()
        trainer.step()
        matmul = with_out(strict.matmul, trainer.theta)
        own = types.SimpleNamespace(matmul=matmul, matmul_float32=strict.matmul)
        graph = StepGraph(trainer, own, print)
        graph.load(0)
        for place in range(graph.length):
            graph.advance(place)
    assert not np.array_equal(backend.to_numpy(trainer.theta), before)
