"""Ranks that are threads of this process, with real sums between them: fast, and without MPI."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mnistgpu.engine.distributed import Alone


class ThreadRank(Alone):
    """A communicator of one of several threads. Sums are added in the order of the ranks."""

    def __init__(self, rank, size, shared):
        super().__init__(rank, size)
        self.shared, self.calls = shared, 0

    def all_reduce(self, vector):
        shared, self.calls = self.shared, self.calls + 1
        shared["vectors"][self.rank] = vector
        shared["barrier"].wait(60)
        total = shared["vectors"][0] + 0.0
        for each in shared["vectors"][1:]:
            total += each
        shared["barrier"].wait(60)
        vector[...] = total

    def reduce_scatter(self, vector):
        """As MPI does it in place: the sum is at the beginning, and what follows is of no use."""
        self.all_reduce(vector)
        own = vector[self.block(len(vector))] + 0.0
        vector[...] = np.nan
        vector[: len(own)] = own
        return vector[: len(own)]

    def all_gather(self, vector):
        shared = self.shared
        shared["vectors"][self.rank] = vector[self.block(len(vector))] * 1.0
        shared["barrier"].wait(60)
        every = np.concatenate(shared["vectors"])
        shared["barrier"].wait(60)
        vector[...] = every


def on_ranks(size, function, kind=ThreadRank):
    """What function(communicator) returns on each of `size` ranks; the first error is raised."""
    shared = {"vectors": [None] * size, "barrier": threading.Barrier(size)}

    def work(rank):
        try:
            return function(kind(rank, size, shared))
        except BaseException:
            shared["barrier"].abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(work, rank) for rank in range(size)]
    errors = [future.exception() for future in futures if future.exception() is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
