"""Functions of CUDA's libraries that CuPy's modules import and the folder shim/ lacks: all refuse.

Each returns the library's own status for "not supported", so that CuPy raises its usual exception.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

NOT_SUPPORTED = {  # library: the prefix of its functions, and its status
    "cudart": ("cuda", 801),
    "cublas": ("cublas", 15),
    "cufft": ("cufft", 16),
    "curand": ("curand", 201),
    "cusparse": ("cusparse", 10),
    "cusolver": ("cusolver", 16),
}


def symbols(path: Path, *which: str) -> set[str]:
    """Names of the symbols of an object or a library, as nm lists them."""
    command = ["nm", *which, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line}


def sources(site: Path, made: dict[str, list[Path]], folder: Path) -> dict[str, Path]:
    """For each library, a source file of the functions that CuPy in `site` needs and `made` lacks.

    `made` holds the object files of the libraries that exist.
    """
    wanted: set[str] = set()
    for top in ("cupy", "cupy_backends", "cupyx"):
        for path in (site / top).rglob("*.so"):
            wanted |= symbols(path, "-D", "--undefined-only")
    found = {}
    for library, (prefix, status) in NOT_SUPPORTED.items():
        there: set[str] = set()
        for each in made.get(library, []):
            there |= symbols(each, "--defined-only")
        names = sorted(
            name
            for name in wanted - there
            if name.startswith(prefix) and name[len(prefix) :][:1].isupper()
        )
        found[library] = folder / f"refusals_{library}.cpp"
        lines = [f'extern "C" int {name}() {{ return {status}; }}\n' for name in names]
        found[library].write_text("".join(lines))
    return found
