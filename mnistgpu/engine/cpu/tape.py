"""A step's calls of NumPy, recorded once and repeated without the Python between them.

Here for speed alone. On arrays of a few thousand numbers NumPy needs a microsecond for a call, and
Python about as long to come from one to the next: to look up attributes, to cut views, to decide. A
step makes the same calls on the same memory every time, so they are written down when it is taken
first, as a CUDA graph is on a GPU (`cuda_graph`).

Whatever changes from step to step must lie in arrays that the recorded calls read; and they are
universal functions, their reductions, assignments to slices, and what `Recorder.call` is given.
Whatever else comes to an array's notice while it is recorded is refused: no repeat would do it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

# What does all it does by universal functions, or computes nothing
FUNCTIONS = (np.max, np.sum, np.reshape, np.empty_like)
METHODS = ("max", "min", "sum", "prod", "any", "all", "mean", "reshape", "transpose", "view")


class Recorder:
    """Records what happens to its arrays."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] | None = None  # while it records
        self._rooms: dict[Any, list[np.ndarray]] = {}
        self._taken: dict[Any, int] = {}

    def array(self, array: np.ndarray) -> RecordedArray:
        """The same memory as an array of this recorder; so are all views of it and results."""
        recorded = array.view(RecordedArray)
        recorded.recorder = self
        return recorded

    def record(self, body: Callable[[], object]) -> Callable[[], None]:
        """Do what body does, and return what does it again."""
        calls: list[Callable[[], object]] = []
        self.calls, self._taken = calls, {}
        try:
            body()
        finally:
            self.calls = None

        def repeat() -> None:
            for call in calls:
                call()

        return repeat

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call the function, now and whenever the recording is repeated."""
        if self.calls is not None:
            self.calls.append(partial(function, *arguments, **keywords))
        return function(*arguments, **keywords)

    def keep(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> np.ndarray:
        """As `call`, for a function that returns a new array and can write to another `out`.

        All recordings use the same memory for their results, as they are not repeated at once.
        """
        result = np.asarray(function(*arguments, **keywords))
        if self.calls is None:
            return result
        kind = result.shape, result.strides, result.dtype
        rooms, taken = self._rooms.setdefault(kind, []), self._taken.get(kind, 0)
        self._taken[kind] = taken + 1
        if taken == len(rooms):
            rooms.append(result)
        room = rooms[taken]
        room[...] = result
        self.calls.append(partial(function, *arguments, **keywords, out=room))
        return room


class RecordedArray(np.ndarray):
    """An array whose universal functions and assignments are recorded."""

    recorder: Any  # its Recorder

    def __array_finalize__(self, source: Any) -> None:
        self.recorder = getattr(source, "recorder", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method not in ("__call__", "reduce") or ufunc.nout > 1:
            self.refuse(f"numpy.{ufunc.__name__}.{method}")
        if any(isinstance(each, RecordedArray) for each in keywords.values()):
            self.refuse(f"numpy.{ufunc.__name__} where an array says")
        keywords = {name: bare(value) for name, value in keywords.items()}
        inputs = tuple(bare(each) for each in inputs)
        if ufunc.nout > 1 or method == "at":
            return function(*inputs, **keywords)
        (out,) = keywords.pop("out", None) or (None,)
        if out is None:
            result = self.recorder.keep(function, *inputs, **keywords)
        else:
            result = self.recorder.call(function, *inputs, **keywords, out=bare(out))
        return self.recorder.array(result)

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        if function not in FUNCTIONS:
            self.refuse(f"numpy.{function.__name__}")
        return super().__array_function__(function, types, arguments, keywords)

    def __getitem__(self, key: Any) -> Any:
        return self.same_memory(super().__getitem__(key))

    def reshape(self, *shape: Any, **keywords: Any) -> Any:
        """As of NumPy, if nothing must be moved for it."""
        return self.same_memory(super().reshape(*shape, **keywords))

    def same_memory(self, part: Any) -> Any:
        """The part, if it is a view."""
        if part.size > 0 and not np.may_share_memory(bare(self), bare(part)):
            self.refuse("a copy of elements")
        return part

    def __setitem__(self, key: Any, value: Any) -> None:
        place = bare(self[key])
        self.recorder.call(np.copyto, place, bare(value))

    @property
    def flat(self) -> Any:
        """As of NumPy, where nothing is recorded."""
        self.refuse("flat")
        return bare(self).flat

    def refuse(self, what: str) -> None:
        """RuntimeError while the recorder records; a TypeError would be caught by NumPy."""
        if self.recorder.calls is not None:
            raise RuntimeError(f"{what} cannot be recorded")


def _refused(name: str) -> Callable[..., Any]:
    """A method as it is, but for a recording."""
    method = getattr(np.ndarray, name)

    def refused(self: RecordedArray, *arguments: Any, **keywords: Any) -> Any:
        self.refuse(name)
        return method(bare(self), *arguments, **keywords)

    return refused


_NUMBERS = ("__bool__", "__int__", "__float__", "__complex__", "__index__")
for _name in (*_NUMBERS, *filter(str.isalpha, dir(np.ndarray))):
    if callable(getattr(np.ndarray, _name)) and _name not in METHODS:
        setattr(RecordedArray, _name, _refused(_name))


def bare(array: Any) -> Any:
    """The array without its recorder; anything else as it is."""
    return array.view(np.ndarray) if isinstance(array, RecordedArray) else array
