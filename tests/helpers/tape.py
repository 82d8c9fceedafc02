"""A stand-in for CUDA graphs that records operations on the CPU.

Arrays of this namespace write down every operation while a capture runs. A replay carries out the
same operations on the same memory, so that a step which reads a host value, or binds a result to a
new array outside the capture, goes wrong here as it would on a GPU. What a capture forbids raises.
"""

import contextlib
import operator
import types

import numpy as np


class CaptureError(RuntimeError):
    """What CUDA or CuPy refuse while a stream is captured."""


class Tape:
    """A namespace like NumPy's whose arrays can be recorded."""

    __name__ = "taped"

    def __init__(self):
        self.entries = None  # while recording: function, arguments, result
        self.reads = 0  # how often the host has asked for a value, and would wait for the device

    def __getattr__(self, name):
        value = getattr(np, name)
        if isinstance(value, type) or not callable(value):
            return value

        def function(*arguments, device=None, **keywords):
            if name in ("asarray", "array") and self.entries is not None:
                raise CaptureError("the current stream is capturing, so H2D transfers ...")
            if name in ("sort", "argsort") and self.entries is not None:
                raise CaptureError("Thrust waits for its sort, so the capture is void")
            if name == "matmul":
                return self.product(*arguments, **keywords)
            return self.apply(value, arguments, keywords)

        return function

    def apply(self, function, arguments, keywords=None):
        raw = [unwrapped(each) for each in arguments]
        keywords = {name: unwrapped(each) for name, each in (keywords or {}).items()}
        result = function(*raw, **keywords)
        if not isinstance(result, np.ndarray | np.generic):
            return result
        result = np.asarray(result)
        if self.entries is not None:
            self.entries.append((function, raw, keywords, result))
        return Taped(result, self)

    def product(self, A, B, **keywords):
        """CuPy's own matmul, which uses cuBLAS for all but an inner product."""
        if self.entries is not None and (A.shape[0], B.shape[-1]) != (1, 1):
            raise CaptureError("calling cuBLAS API during stream capture is currently unsupported")
        return self.apply(np.matmul, (A, B), keywords)

    def to_numpy(self, array):
        """The values, as they are now."""
        self.reads += 1
        return array.raw

    def backend(self, name="taped"):
        return types.SimpleNamespace(
            name=name,
            xp=self,
            asarray=lambda array: Taped(np.array(unwrapped(array)), self),
            to_numpy=self.to_numpy,
            synchronize=lambda: None,
            describe=lambda: {"backend": "taped", "device": "tape"},
        )


class TapeRecorder:
    """The recorder of a `StepGraph` on a tape."""

    def __init__(self, tape):
        self.tape, self.events = tape, []

    def matmul(self, A, B, **keywords):
        """A product that a capture allows, of matrices as cuBLAS takes them."""
        assert A.ndim == B.ndim == 2
        return self.tape.apply(np.matmul, (A, B), keywords)

    def matmul_float32(self, A, B):
        """The same for deformations."""
        assert A.dtype == B.dtype == np.float32
        return self.matmul(A, B)

    def record(self, steps):
        self.events.append("record")
        steps[0]()
        self.tape.entries = []
        try:
            for step in steps:
                step()
        finally:
            entries, self.tape.entries = self.tape.entries, None

        def replay():
            self.events.append("replay")
            for function, arguments, keywords, result in entries:
                again = np.asarray(function(*arguments, **keywords))
                if not np.shares_memory(again, result):
                    result[...] = again

        return replay


def unwrapped(value):
    if isinstance(value, Taped):
        return value.raw
    if isinstance(value, tuple | list):
        return type(value)(unwrapped(each) for each in value)
    return value


class Taped:
    """An array of a Tape; it lets no value out while a capture runs."""

    __array_ufunc__ = None  # NumPy must not compute with it
    device = "tape"

    def __init__(self, raw, tape):
        self.raw, self.tape = raw, tape

    def __array_namespace__(self):
        return self.tape

    shape = property(lambda self: self.raw.shape)
    ndim = property(lambda self: self.raw.ndim)
    dtype = property(lambda self: self.raw.dtype)
    T = property(lambda self: self.tape.apply(np.transpose, (self,)))

    def __getitem__(self, index):
        return self.tape.apply(operator.getitem, (self, index))

    def __setitem__(self, index, value):
        self.tape.apply(set_item, (self, index, value))

    def __matmul__(self, other):
        return self.tape.product(self, other)

    def _let_out(self, kind):
        if self.tape.entries is not None:
            raise CaptureError("the current stream is capturing, so synchronous calls ...")
        self.tape.reads += 1
        return kind(self.raw)

    def __float__(self):
        return self._let_out(float)

    def __int__(self):
        return self._let_out(int)

    def __bool__(self):
        return self._let_out(bool)

    def __index__(self):
        return self._let_out(operator.index)

    def __array__(self, *arguments, **keywords):
        raise CaptureError("an array of the device was given to NumPy")

    def __len__(self):
        return len(self.raw)


def set_item(array, index, value):
    array[index] = value
    return array


def define(name):
    plain = name.strip("_")
    if plain.startswith("r") and plain not in ("rshift",):
        function = getattr(operator, f"__{plain[1:]}__")
        setattr(Taped, name, lambda a, b: a.tape.apply(lambda x, y: function(y, x), (a, b)))
    else:
        function = getattr(operator, name)
        setattr(Taped, name, lambda a, *b: a.tape.apply(function, (a, *b)))


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift",
          "rshift")  # fmt: skip
for each in BINARY:
    define(f"__{each}__")
    define(f"__i{each}__")
    with contextlib.suppress(AttributeError):
        define(f"__r{each}__")
for each in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "invert", "abs"):
    define(f"__{each}__")
Taped.__hash__ = None
