"""What CuPy's device was asked to do, where a library that counts stands for CUDA's."""

import ctypes

import pytest

LAUNCHES, WAITS = range(2)


def waits():
    """How often the host has waited for the device so far."""
    return counted(WAITS)


def launches():
    """How many operations were given to a stream or a capture so far."""
    return counted(LAUNCHES)


def is_counted():
    """Whether CuPy runs on a library of the tests."""
    return hasattr(runtime(), "cpushim_count")


def counted(what):
    """A count of the CUDA runtime that CuPy runs on; skips where it is NVIDIA's, which has none."""
    if not is_counted():
        pytest.skip("NVIDIA's CUDA runtime does not count")
    count = runtime().cpushim_count
    count.restype = ctypes.c_ulonglong
    return count(what)


def runtime():
    """The library of the CUDA runtime that CuPy has loaded."""
    import cupy

    return ctypes.CDLL(f"libcudart.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}")
