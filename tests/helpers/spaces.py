"""Places where arrays live: one test body for every backend."""

import contextlib
import types
from dataclasses import dataclass

import numpy as np
import pytest

from mnistgpu import backend
from mnistgpu.errors import BackendError


def read_only(array: np.ndarray) -> np.ndarray:
    """The same memory, through which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class ReadOnlyBackend(backend.Backend):
    """NumPy, where whoever writes into the data of a run or a model raises."""

    def asarray(self, array, dtype=None):
        return read_only(super().asarray(array, dtype))


class Space:
    """A place where arrays live: puts NumPy data there, brings it back, checks where results are.

    numpy-read-only is NumPy whose arrays raise when they are written to: functions leave their
    arguments as they are, but for those that they are documented to change.

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

    @contextlib.contextmanager
    def strictest(self):
        """Within it, array-api-strict refuses shapes that depend on data, and its extensions."""
        if self.name == "array-api-strict":
            flags = self.xp.ArrayAPIStrictFlags(
                boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
            )
        else:
            flags = contextlib.nullcontext()
        with flags:
            yield self

    def own(self, array):
        """A copy for a function that changes its argument in place."""
        copy = np.array(array)
        return copy if self.xp is np else self.put(copy)

    def put(self, array, dtype=None):
        if type(array).__module__.startswith(("array_api_strict", "cupy")):
            return array
        array = np.asarray(array, dtype=dtype)
        if self.name == "array-api-strict":
            return self.xp.asarray(array, device=self.device)
        return read_only(array) if self.name == "numpy-read-only" else self.xp.asarray(array)

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
        if self.name == "numpy-read-only":
            return ReadOnlyBackend("numpy")
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


SPACES = [
    "numpy",
    "numpy-read-only",
    "array-api-strict",
    pytest.param("cupy", marks=pytest.mark.gpu),
]
