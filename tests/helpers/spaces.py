"""Places where arrays live: one test body for every backend."""

import types

import numpy as np
import pytest

from mnistgpu import backend
from mnistgpu.errors import BackendError


class Space:
    """A place where arrays live: puts NumPy data there, brings it back, checks where results are.

    array-api-strict holds nothing but the array API standard, and a device that is not the default
    one: there every leak to NumPy raises, which proves on the CPU what a GPU will need.
    """

    def __init__(self, name: str):
        self.name = name
        if name == "array-api-strict":
            strict = pytest.importorskip("array_api_strict", reason="array-api-strict is missing")
            self.xp, self.device = strict, strict.Device("device1")
        elif name == "cupy":
            try:
                self.xp = backend.select("cupy").xp
            except BackendError as error:
                pytest.skip(str(error))
        else:
            self.xp = np

    def put(self, array, dtype=None):
        if type(array).__module__.startswith(("array_api_strict", "cupy")):
            return array
        array = np.asarray(array, dtype=dtype)
        if self.name == "array-api-strict":
            return self.xp.asarray(array, device=self.device)
        return self.xp.asarray(array)

    def get(self, array) -> np.ndarray:
        """To NumPy, after a check that the result lives where it should."""
        if self.name == "array-api-strict":
            assert type(array).__module__.startswith("array_api_strict"), type(array)
            assert array.device == self.device
            return np.asarray(array.to_device(self.xp.Device("CPU_DEVICE")))
        if self.name == "cupy":
            assert isinstance(array, self.xp.ndarray), type(array)
            return self.xp.asnumpy(array)
        assert isinstance(array, np.ndarray | np.generic), type(array)
        return np.asarray(array)

    def backend(self):
        """What a Trainer, a Model and an evaluation need of a backend, for this space."""
        if self.name != "array-api-strict":
            return backend.select(self.name)
        return types.SimpleNamespace(
            name=self.name,
            xp=self.xp,
            asarray=self.put,
            to_numpy=self.get,
            synchronize=lambda: None,
            describe=lambda: {"backend": self.name, "device": "device1"},
        )


SPACES = ["numpy", "array-api-strict", pytest.param("cupy", marks=pytest.mark.gpu)]
