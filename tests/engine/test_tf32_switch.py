"""TF32 is on for a product of the network and off again after it, on a stand-in for CuPy."""

import sys
import types

import numpy as np
import pytest

from mnistgpu.engine.products import precision

DEFAULT, TF32 = 0, 7


@pytest.fixture
def switch(monkeypatch):
    """CuPy's switch of the type in which float32 products are computed."""
    module = types.ModuleType("cupy._core._routines_linalg")
    module.now, module.COMPUTE_TYPE_TF32 = DEFAULT, TF32
    module.get_compute_type = lambda dtype: module.now
    module.set_compute_type = lambda dtype, kind: setattr(module, "now", kind)
    core = types.ModuleType("cupy._core")
    core._routines_linalg = module
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "cupy._core", core)
    return module


def test_tf32_is_switched_on_for_the_product_alone(switch):
    """Deformations, which follow, are always computed in float32."""
    seen = []

    def product(A, B, out):
        seen.append(switch.now)
        return np.matmul(A, B, out=out)

    matmul = precision.in_tf32(types.SimpleNamespace(matmul=product))
    out = np.zeros((2, 2))
    assert matmul(np.eye(2), 3.0 * np.eye(2), out=out) is out
    np.testing.assert_array_equal(out, 3.0 * np.eye(2))
    assert (seen, switch.now) == ([TF32], DEFAULT)
    with pytest.raises(ValueError, match=r"matmul"):
        matmul(np.eye(2), np.eye(3), out=out)
    assert (seen, switch.now) == ([TF32, TF32], DEFAULT)
