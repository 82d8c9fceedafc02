"""Changes the build of CuPy's sources: no nvcc, and our CUDA runtime instead of a static one.

Three files of CuPy are CUDA C++, for nvcc to compile. Files of ours in plain C++ with the same
functions stand in for them: sorting and reductions by loops, and random numbers, which refuse.
"""

from __future__ import annotations

import shutil
from pathlib import Path

FEATURES = "install/cupy_builder/_features.py"
REPLACED = {  # CuPy's file: ours, in the folder shim/
    "cupy/cuda/cupy_thrust.cu": "cupy_thrust.cpp",
    "cupy/cuda/cupy_cub.cu": "cupy_cub.cpp",
    "cupy/random/cupy_distributions.cu": "cupy_distributions.cpp",
}
CHANGES = [  # an old text of FEATURES, the new one
    ("            _from_dict(CUDA_jitify, ctx),\n", ""),  # it would need nvcc
    ("'static_libraries': ['cudart_static'],", "'static_libraries': [],"),
    ("self.static_libraries = ['cudart_static']", "self.static_libraries = []"),
    ("    ['pthread', 'rt', 'dl'] if sys", "    ['cudart', 'pthread', 'rt', 'dl'] if sys"),
    ("'cusolver',\n        ],\n    }", "'cusolver', 'cudart',\n        ],\n    }"),
    *((f"'{theirs}'", f"'{theirs.removesuffix('.cu')}.cpp'") for theirs in REPLACED),
]  # fmt: skip
SETTINGS = """
import os as _os

if _os.environ.get("CPUSHIM_CUB") == "1":  # reductions as CuPy does them on a GPU
    _core.set_routine_accelerators(["cub"])
    _core.set_reduction_accelerators([])
if _os.environ.get("CPUSHIM_NOPOOL") == "1":  # each array has memory of its own
    cuda.set_allocator(None)
"""


def patch(sources: Path, shim: Path) -> None:
    """Change CuPy's unpacked sources. ValueError if they are not those of the version known."""
    for theirs, ours in REPLACED.items():
        target = (sources / theirs).with_suffix(".cpp")
        shutil.copy(shim / ours, target)
    file = sources / FEATURES
    text = file.read_text()
    for old, new in CHANGES:
        if old not in text:
            raise ValueError(f"CuPy's {FEATURES} has no {old!r}: this CuPy is not known here")
        text = text.replace(old, new)
    file.write_text(text)
    with (sources / "cupy" / "__init__.py").open("a") as module:
        module.write(SETTINGS)
