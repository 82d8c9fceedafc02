"""Where arrays live: NumPy on the CPU or CuPy on an NVIDIA GPU.

`select` chooses a backend once and `Backend.asarray` puts the data there. From then on the arrays
carry their backend: every function of the maths asks its own arguments for their namespace,
`xp = array_namespace(X)`, and calls `xp.exp`, `xp.sum`, ... So there is no global switch, and both
backends can be used in one process.

NumPy is imported when it is first used, not here. `--help` shows the names of activations and
optimisers, whose modules import this one; so it need not wait for NumPy.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mnistgpu.errors import BackendError, UsageError
from mnistgpu.storage import system

if TYPE_CHECKING:
    import numpy as np

Array = Any  # numpy.ndarray, cupy.ndarray, or any array of the array API standard

ENVIRONMENT_VARIABLE = "MNISTGPU_BACKEND"
CHOICES = ("numpy", "cupy", "auto")
INSTALL = f"{sys.executable} -m pip install"  # for the Python that runs now
INSTALL_CUPY = (
    f"{INSTALL} -e '.[cuda13]' in the clone (driver 580 or newer), or '.[cuda12]' (an older one)"
)


def array_namespace(*arrays: Array) -> Any:
    """The module (numpy, cupy, ...) whose functions compute on these arrays.

    Raises BackendError if they live on different backends or one is no array at all.
    """
    found, np = None, sys.modules.get("numpy")  # None: it has made no array yet
    for array in arrays:
        kind = type(array)
        if np is not None and (kind is np.ndarray or isinstance(array, np.generic)):
            namespace = np
        elif kind.__module__.partition(".")[0] == "cupy":  # its arrays have no __array_namespace__
            namespace = sys.modules["cupy"]
        elif hasattr(array, "__array_namespace__"):
            namespace = array.__array_namespace__()
        else:
            raise BackendError(
                f"expected an array of numpy or cupy, got {kind.__name__}; "
                "move the data once with backend.asarray(...)"
            )
        if found is not None and namespace is not found:
            raise BackendError(
                f"these arrays live on two backends, {found.__name__} and {namespace.__name__}; "
                "move all of them to one with backend.asarray(...)"
            )
        found = namespace
    if found is None:
        raise BackendError("array_namespace needs at least one array")
    return found


Function = TypeVar("Function", bound=Callable[..., Any])
_kernels: dict[str, Mapping[str, Callable[..., Any]]] = {}  # by namespace, and by function


def with_kernel(plain: Function) -> Function:
    """The function, which on a GPU is computed by the kernel of its name, if there is one.

    A kernel does in one launch what the function says in several operations. Which it is, the first
    argument decides, an array or a key of random numbers. The function stays as `__wrapped__`.
    """

    @functools.wraps(plain)
    def chosen(first: Any, *others: Any, **named: Any) -> Any:
        if _kernels:
            xp = array_namespace(getattr(first, "like", first))
            function = _kernels.get(xp.__name__, {}).get(plain.__name__, plain)
            return function(first, *others, **named)
        return plain(first, *others, **named)

    return cast(Function, chosen)


@contextlib.contextmanager
def using_kernels(
    kernels: Mapping[str, Callable[..., Any]], namespace: str = "cupy"
) -> Iterator[None]:
    """Within it, functions `with_kernel` use these, and no others, for arrays of the namespace."""
    before = dict(_kernels)
    _kernels.clear()
    _kernels.update({namespace: kernels} if kernels else {})
    try:
        yield
    finally:
        _kernels.clear()
        _kernels.update(before)


def are_kernels_used() -> bool:
    """Whether this is within `using_kernels`."""
    return bool(_kernels)


def has_out(array: Array) -> bool:
    """Whether functions of the array's namespace take `out=`; the array API standard has none."""
    return array_namespace(array).__name__ in ("numpy", "cupy")


def with_out(function: Callable[..., Array], array: Array) -> Callable[..., Array]:
    """function(*arrays, out=): itself if it can take `out=`, which saves a temporary array."""
    if has_out(array):
        return function

    def copied(*arrays: Any, out: Array) -> Array:
        out[...] = function(*arrays)
        return out

    return copied


def on_device_of(array: Array) -> dict[str, Any]:
    """Keyword arguments that make a creation function (zeros, arange, ...) use `array`'s device.

    CuPy's creation functions take no `device=`; they use the current one, which `select` sets.
    """
    return {} if type(array).__module__.startswith("cupy") else {"device": array.device}


@dataclass(frozen=True)
class Backend:
    """One namespace on one device. Make it with `select`.

    CuPy computes on its current device, which is the last one selected. To use two GPUs in one
    process, compute on each within `with backend.current():`.
    """

    name: str
    device: int | None = None
    chosen_because: str = ""

    @functools.cached_property
    def xp(self) -> Any:
        """The namespace: the module `numpy` or `cupy`."""
        if self.name == "numpy":
            import numpy as np  # not when this module is imported: `--help` needs no NumPy

            return np
        return importlib.import_module(self.name)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: the fields, for `xp` is a module and cannot be pickled."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def current(self) -> contextlib.AbstractContextManager[Any]:
        """Within it, CuPy computes on this backend's GPU."""
        return self.xp.cuda.Device(self.device) if self.name == "cupy" else contextlib.nullcontext()

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """Copy host data to the device, once; data already there is returned as it is."""
        with self.current():
            return self.xp.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        """Copy an array to the host. A sync point: waits until the device has computed it."""
        copy = self.xp.asnumpy if self.name == "cupy" else self.xp.asarray
        host: np.ndarray = copy(array)
        return host

    def synchronize(self) -> None:
        """Wait until the device has finished all its work (needed for timing)."""
        if self.name == "cupy":
            with self.current():
                self.xp.cuda.get_current_stream().synchronize()

    def describe(self) -> dict[str, str]:
        """Device name, memory and library versions, as printed and saved with every run."""
        import numpy as np

        memory = system.memory()
        facts = {
            "backend": self.name,
            "device": f"{system.processor()}, {os.cpu_count()} cores",
            "memory": "unknown" if memory is None else f"{memory / 2**30:.1f} GiB",
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        if self.name == "cupy":
            runtime = self.xp.cuda.runtime
            with self.current():
                properties = runtime.getDeviceProperties(self.device)
                facts |= {
                    "device": f"{properties['name'].decode()} (cupy:{self.device})",
                    "memory": f"{properties['totalGlobalMem'] / 2**30:.1f} GiB",
                    "cupy": self.xp.__version__,
                    "cuda_runtime": str(runtime.runtimeGetVersion()),
                    "cuda_driver": str(runtime.driverGetVersion()),
                }
        return facts


NUMPY = Backend("numpy")


def select(name: str | None = None) -> Backend:
    """The backend called `name`: "numpy", "cupy", "cupy:1" (the second GPU) or "auto".

    Without a name, the environment variable MNISTGPU_BACKEND decides; without both it is NumPy.
    "auto" is CuPy if a test of it succeeds, otherwise NumPy; `chosen_because` says why.

    Raises UsageError for an unknown name, BackendError if CuPy is asked for and cannot compute.
    """
    name = name or os.environ.get(ENVIRONMENT_VARIABLE) or "numpy"
    if not isinstance(name, str) or not re.fullmatch("numpy|auto|cupy(:[0-9]{1,4})?", name):
        raise UsageError(
            f"unknown backend {name!r}: choose {', '.join(CHOICES)}, or cupy:1 for the second GPU "
            f"(with --backend or {ENVIRONMENT_VARIABLE})"
        )
    kind, _, ordinal = name.partition(":")
    if kind == "numpy":
        return NUMPY
    if kind == "cupy":
        return _proven_cupy(int(ordinal or 0))
    try:
        proven = _proven_cupy(0)
    except BackendError as why_not:
        return Backend("numpy", chosen_because=f"auto chose numpy: {why_not}")
    return replace(
        proven, chosen_because="auto chose cupy: a kernel and a matrix product ran on it"
    )


def _proven_cupy(ordinal: int) -> Backend:
    """CuPy on GPU `ordinal`, after one tiny kernel and one tiny product have run there.

    CuPy loads its CUDA libraries when they are first used: without this test a missing NVRTC or
    cuBLAS would end a run half-way with a traceback.
    """
    try:
        cp: Any = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendError(
            f"backend cupy: CuPy cannot be imported ({gist(error)}); {INSTALL_CUPY}"
        ) from error
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError, whose class needs the driver to be looked up
        if "cudaErrorNoDevice" in str(error):
            raise BackendError(
                f"backend cupy: a driver, but no GPU ({gist(error)}); nvidia-smi -L lists the "
                "GPUs, CUDA_VISIBLE_DEVICES may hide it; or use --backend numpy"
            ) from error
        raise BackendError(
            f"backend cupy: no usable NVIDIA driver ({gist(error)}); install one and check it with "
            f"nvidia-smi, or if that shows one older than 580, {INSTALL} -e '.[cuda12]' in the "
            "clone; or use --backend numpy"
        ) from error
    if ordinal >= count:
        raise BackendError(
            f"backend cupy:{ordinal}: this machine has {count} GPU(s), numbered from 0; "
            "nvidia-smi -L lists them"
        )
    cp.cuda.Device(ordinal).use()
    try:
        ones = cp.full((2, 2), 0.5, dtype=cp.float32) + 0.5
        kernel_works = float(ones[0, 0]) == 1.0
    except Exception as error:
        raise BackendError(
            f"backend cupy: no kernel could be compiled and run ({gist(error)}); NVRTC and "
            f"the CUDA headers come with {INSTALL_CUPY}"
        ) from error
    try:
        product_works = float((ones @ ones)[0, 0]) == 2.0
    except Exception as error:
        raise BackendError(
            f"backend cupy: no matrix product ran ({gist(error)}); cuBLAS comes with {INSTALL_CUPY}"
        ) from error
    if not (kernel_works and product_works):
        raise BackendError(
            f"backend cupy: GPU {ordinal} computes wrong results (1/2 + 1/2 or a 2x2 product); "
            "check driver and card with nvidia-smi, or use --backend numpy"
        )
    return Backend("cupy", ordinal)


def gist(error: BaseException) -> str:
    """An error in one line: its type and the first line of its message that has letters.

    CuPy's message about a failed import is framed by rows of signs, and quotes the cause below the
    line "Original error:".
    """
    lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalpha, line))]
    if "Original error:" in lines[:-1]:
        return lines[lines.index("Original error:") + 1]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
