"""What a capture on an NVIDIA GPU needs: a stream, memory and products of its own."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mnistgpu.engine.products.cublas import Cublas

WARM_UP = 4  # steps that leave their memory in the pool
SLACK = 2**20  # bytes beside it, since the pool may cut its blocks otherwise in a later step


class CudaRecorder:
    """Stream, memory pool and cuBLAS of a captured graph; they live as long as it does.

    `matmul` multiplies for the network, `matmul_float32` for deformations.

    The pool is for the capture alone: every replay writes to the memory of the temporary arrays, so
    it must not be used for anything else.
    """

    def __init__(self, cupy: Any, precision: str):
        self._cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.pool = cupy.cuda.MemoryPool()
        blas = Cublas(cupy)
        self.matmul, self.matmul_float32 = blas.product(precision), blas.product("float32")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run everything within on the recorder's stream, in order with what is around it."""
        self._cupy.cuda.get_current_stream().synchronize()
        with self.stream:
            try:
                yield
            finally:
                self.stream.synchronize()

    def record(self, steps: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Capture the steps on the stream, and return the replay. Raises what the capture raises.

        A few are taken before: they leave the memory that all need in the pool.
        """
        with self._cupy.cuda.using_allocator(self.pool.malloc), no_garbage_collection():
            for step in itertools.islice(itertools.cycle(steps), WARM_UP):
                step()
            self._cupy.empty(SLACK, dtype="uint8")
            self.stream.synchronize()
            self.stream.begin_capture()
            try:
                for step in steps:
                    step()
            except BaseException:
                with contextlib.suppress(Exception):  # the capture is void: only leave it
                    self.stream.end_capture()
                raise
            graph = self.stream.end_capture()
        return functools.partial(graph.launch, self.stream)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect garbage now, and none within: an old graph must not be freed during a capture."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
