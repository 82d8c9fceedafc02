"""What people hold images and labels in, as arrays: lists, tables, tensors, pictures.

Arrays of other libraries are taken by DLPack, without a copy where the device is the same. None of
these libraries is imported: an object is known by what it offers, so later ones are taken too.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.errors import BackendError, DataError

ON_HOST = (1, 3)  # kDLCPU and kDLCUDAHost, the kinds of memory that NumPy takes by DLPack
ON_CUDA = (2, 13)  # kDLCUDA and kDLCUDAManaged, those that CuPy takes
FAULTS = (BufferError, RuntimeError, TypeError, ValueError, NotImplementedError, OverflowError)
HOST_COPIES = {  # what copies an array of these libraries to the host
    "cupy": "cupy.asnumpy({name})",
    "torch": "{name}.cpu()",
    "jax": "jax.device_get({name})",
    "jaxlib": "jax.device_get({name})",
    "tensorflow": "{name}.numpy()",
}


def as_array(given: Any, name: str, backend: Backend = NUMPY) -> Array:
    """An array of NumPy, or of the backend if `given` is on its GPU already.

    given: an array of NumPy, CuPy or any library with DLPack or `__array__` (JAX, PyTorch,
    TensorFlow), a table or column of pandas or polars, a picture of Pillow, a sparse matrix of
    SciPy, a list of numbers or of any of these. `name` names it in messages.

    Raises BackendError for an array on another device than the backend's, DataError for anything
    else.
    """
    if isinstance(given, np.ndarray):
        if isinstance(given, np.ma.MaskedArray):
            return given
        # a subclass, such as np.matrix, has other operators
        return of_objects(given, name) if given.dtype == object else np.asarray(given)
    if backend.name == "cupy" and isinstance(given, backend.xp.ndarray):
        return given
    if isinstance(given, (list, tuple)):
        return of_list(given, name, backend)
    if is_picture(given):
        return of_picture(given)
    if hasattr(given, "to_numpy"):  # pandas, polars
        return of_table(given, name)
    if hasattr(given, "toarray"):  # SciPy
        return np.asarray(given.toarray())
    if hasattr(given, "detach"):  # PyTorch, whose tensors may need a gradient
        given = given.detach()
    if hasattr(given, "__dlpack__") and hasattr(given, "__dlpack_device__"):
        return of_dlpack(given, name, backend)
    if any(hasattr(given, each) for each in ("__array__", "__array_interface__")) or isinstance(
        given, memoryview
    ):
        return of_numpy(given, name)
    raise DataError(
        f"{name}: must be an array (of NumPy, CuPy, PyTorch, JAX), a list of numbers, a table of "
        f"pandas or polars or a picture, not {described(given)}"
    )


def described(given: object) -> str:
    """The type of what was given, and what is to be done with it instead if that is known."""
    kind = type(given).__name__
    if isinstance(given, (str, bytes)) or hasattr(given, "__fspath__"):
        return f"{kind}; give a picture's path to model.read, and the path of a set to fit"
    return kind


def of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """An array of objects as numbers, if they are numbers or arrays of them; else as it is."""
    try:
        if array.ndim > 1:
            return array.astype(np.float64)
        if len(array) and not np.isscalar(array[0]):
            return np.stack([np.asarray(as_array(each, name)) for each in array])
    except (TypeError, ValueError):  # DataError is one
        pass
    return np.asarray(array)


def of_list(given: Any, name: str, backend: Backend) -> Array:
    """A list of numbers, or of lists, arrays, tensors or pictures of one shape."""
    first = given[0] if len(given) else None
    if first is not None and not isinstance(first, (int, float, bool, str, bytes, list, tuple)):
        if not isinstance(first, np.generic):
            given = [as_array(each, f"{name}[{i}]", backend) for i, each in enumerate(given)]
            shapes = {each.shape for each in given}
            if len(shapes) > 1:
                raise DataError(
                    f"{name}: images of the shapes {' and '.join(map(str, sorted(shapes)[:2]))} in "
                    "one list; give those of one size"
                )
            if any(not isinstance(each, np.ndarray) for each in given):
                return backend.xp.stack(given)
    try:
        array = np.array(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{name}: its lists are not of one length, or hold what is no number ({error}); give "
            "rows that are alike"
        ) from None
    mixed = array.dtype.kind in "US" and not all(isinstance(each, (str, bytes)) for each in given)
    return np.array(given, dtype=object) if mixed and array.ndim == 1 else array


def of_table(given: Any, name: str) -> np.ndarray:
    """The cells of a table or a column, of pandas, polars or cuDF."""
    try:
        array = np.asarray(given.to_numpy())
    except FAULTS as error:
        raise DataError(
            f"{name}: this {type(given).__name__} cannot be read as an array ({error}); give its "
            "columns of numbers"
        ) from None
    return of_objects(array, name) if array.dtype == object else array


def is_picture(given: object) -> bool:
    """Whether this is a picture of Pillow, which is not imported for that."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(given, pillow.Image)


def of_picture(picture: Any) -> np.ndarray:
    """The levels of a picture of Pillow: (H, W), or (H, W, 3 or 4) in colours."""
    if picture.mode not in ("1", "L", "I", "F", "RGB", "RGBA") and picture.mode[0] != "I":
        clear = picture.has_transparency_data or picture.mode in ("LA", "PA", "La", "RGBa")
        picture = picture.convert("RGBA" if clear else "RGB")
    return np.asarray(picture)


def of_dlpack(given: Any, name: str, backend: Backend) -> Array:
    """An array of another library, without a copy."""
    try:
        memory = int(given.__dlpack_device__()[0])
    except FAULTS:  # spread over several devices
        return of_numpy(given, name)
    if memory in ON_CUDA and backend.name == "cupy":
        with backend.current():
            return backend.xp.from_dlpack(given)
    if memory not in ON_HOST:
        library = type(given).__module__.partition(".")[0]
        copy = HOST_COPIES.get(library, "a copy of it in the memory of the CPU")
        raise BackendError(
            f"{name}: lies in the memory of a GPU, but the network computes on {backend.name}; "
            f"give {copy.format(name=name)}"
        )
    try:
        return np.from_dlpack(given)
    except FAULTS:  # a type that NumPy lacks, or an older protocol
        return of_numpy(given, name)


def of_numpy(given: Any, name: str) -> np.ndarray:
    """What an object itself makes of an array of NumPy."""
    try:
        array = np.asarray(given)
    except FAULTS as error:
        raise DataError(
            f"{name}: this {type(given).__name__} cannot be read as an array "
            f"({str(error)[:200]}); convert it, for example to float32, and copy it to the CPU"
        ) from None
    if array.dtype.kind == "V" and array.dtype.name.startswith(("bfloat", "float")):
        return array.astype(np.float32)  # JAX's own types
    return array


def on_host(given: Any, name: str) -> np.ndarray:
    """As `as_array`, but on the host: arrays of CuPy are copied."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(given, cupy.ndarray):
        return np.asarray(cupy.asnumpy(given))
    array: np.ndarray = as_array(given, name)
    return array
