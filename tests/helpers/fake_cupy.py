"""A stand-in for CuPy on a machine whose driver or libraries fail."""

import types

import numpy as np


def fake_cupy(count=1, kernel=None, product=None, driver=None):
    """A stand-in for CuPy whose parts fail as the real ones do without a driver, NVRTC, cuBLAS."""

    def get_count():
        if driver:
            raise driver
        return count

    class Ones:
        def __add__(self, other):
            if kernel:
                raise kernel
            return self

        def __getitem__(self, index):
            return 1.0

        def __matmul__(self, other):
            if product:
                raise product
            return np.full((2, 2), 2.0)

    device = types.SimpleNamespace(use=lambda: None)
    cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDeviceCount=get_count), Device=lambda ordinal: device
    )
    return types.SimpleNamespace(
        cuda=cuda, full=lambda *args, **kwargs: Ones(), float32=np.float32, __name__="cupy"
    )
