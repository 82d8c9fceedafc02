"""Other BLAS than NumPy's own, and how a process of NumPy computes by one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = (Path(sys.prefix) / "lib", Path("/usr/lib/x86_64-linux-gnu"))
NAMES = ("libmkl_rt.so.*", "*/libblas.so.3")  # the package mkl; BLIS, ATLAS, ... of Debian
SOURCE = Path(__file__).with_suffix(".c")


def libraries() -> list[str]:
    """Libraries with the functions of CBLAS: of this machine, and those of MNISTGPU_OTHER_BLAS."""
    found = os.environ.get("MNISTGPU_OTHER_BLAS", "").split(os.pathsep)
    found += [str(path) for at in FOLDERS for name in NAMES for path in sorted(at.glob(name))]
    return [path for path in found if path and "openblas" not in path]


def why_not() -> str:
    """Why none can be put under NumPy here; "" if one can."""
    if not sys.platform.startswith("linux"):
        return "a library is put under NumPy on Linux alone"
    if not shutil.which("cc"):
        return "there is no C compiler"
    return "" if libraries() else "there is no other BLAS; pip install mkl brings one"


def variables(path: str, folder: Path) -> dict[str, str]:
    """The variables of a process whose NumPy multiplies by the library at this path."""
    preloaded = folder / "other_blas.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(preloaded), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return {
        "LD_PRELOAD": str(preloaded),
        "OTHER_BLAS": path,
        "MKL_THREADING_LAYER": "SEQUENTIAL",  # the others need libraries of threads
    }
