"""Builds CuPy for the CPU in three parts, each of which `parts.py` keeps: headers, CuPy, libraries.

The headers are NVIDIA's, and all that is kept of its wheels. CuPy is built from its source
distribution with them. The libraries are ours (the folder shim/): CUDA's runtime, its driver, its
compiler NVRTC and cuBLAS for the CPU, under the names by which CuPy loads them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import parts
import patch_cupy
import refusals

HERE = Path(__file__).parent
SHIM = HERE / "shim"
CUPY = "14.2.0"
HEADERS = (  # of CUDA 12.9; the wheels hold 1.7 GB, the headers 0.1 GB
    "nvidia-cuda-runtime-cu12==12.9.*",
    "nvidia-cuda-nvrtc-cu12==12.9.*",
    "nvidia-cuda-nvcc-cu12==12.9.*",
    "nvidia-cuda-cccl-cu12==12.9.*",
    "nvidia-cuda-profiler-api-cu12==12.9.*",
    "nvidia-nvtx-cu12==12.9.*",
    "nvidia-cublas-cu12==12.9.*",
    "nvidia-cufft-cu12==11.4.1.*",
    "nvidia-curand-cu12==10.3.10.*",
    "nvidia-cusolver-cu12==11.7.5.*",
    "nvidia-cusparse-cu12==12.5.10.*",
)
BESIDE_CUPY = (  # installed as they are; what they need is in this list
    "nvmath-python>=1.0,<2",
    "cuda-bindings>=12.9,<13",
    "cuda-core<2",
    "cuda-pathfinder<2",
    "scipy-openblas32<1",
)
SONAMES = {
    "cudart": 12, "cublas": 12, "cufft": 11, "curand": 10, "cusparse": 12, "cusolver": 11,
    "cuda": 1, "nvrtc": 12,
}  # fmt: skip
UNCALLED = {"cublasLt": 12, "nvJitLink": 12}  # loaded by nvmath-python; nothing of them is called
NICENESS = 10
FLAGS = "-O1 -g0 -fwrapv -DNDEBUG"  # of CuPy's 60 modules: quick to compile


class BuildError(Exception):
    """A command of the build failed; the message holds the end of its output."""


class NotFetchedError(BuildError):
    """A package is not to be had, for example because there is no network."""


def why_not() -> str:
    """Why CuPy cannot be built and run on this machine, in one sentence; "" if it can."""
    system, processor = platform.system(), platform.machine()
    if (system, processor) != ("Linux", "x86_64"):
        return (
            "CuPy on a CPU runs on Linux with an x86-64 processor, and this is "
            f"{system} on {processor}"
        )
    if missing := [name for name in ("g++", "nm") if shutil.which(name) is None]:
        return f"there is no {' and no '.join(missing)}: install g++, which brings both"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"{sys.executable} has no Python.h: install Python's headers (python3-dev)"
    if importlib.util.find_spec("pip") is None:
        return f"{sys.executable} has no pip, which fetches CuPy: add it with -m ensurepip"
    return ""


def run(command: list[str | Path], where: Path | None = None, **environment: str) -> None:
    """Run a command at low priority. BuildError with its last lines if it fails."""
    lower = max(0, NICENESS - os.nice(0))
    done = subprocess.run(
        ["nice", "-n", str(lower), *command],
        cwd=where,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-30:])
        raise BuildError(f"{' '.join(map(str, command))}\nfailed with {done.returncode}:\n{last}")


def pip(*arguments: str | Path, **environment: str) -> None:
    """Run pip, outside the repository and without keeping what it downloads."""
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-cache-dir"]
    with tempfile.TemporaryDirectory() as elsewhere:
        run(command, Path(elsewhere), **environment)


def fetch(folder: Path, *packages: str, **environment: str) -> None:
    """Download packages into a folder. NotFetchedError if one is not to be had."""
    try:
        pip("download", "--no-deps", "--dest", folder, *packages, **environment)
    except BuildError as error:
        raise NotFetchedError(f"pip cannot fetch {' '.join(packages)}\n{error}") from error


def make_headers(folder: Path) -> None:
    """NVIDIA's headers in include/, out of its wheels, one wheel after the other."""
    for wheel in HEADERS:
        with tempfile.TemporaryDirectory() as temporary:
            fetch(Path(temporary), wheel)
            (path,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    _, found, inner = name.partition("/include/")
                    if found and inner and not inner.endswith("/"):
                        target = folder / "include" / inner
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(archive.read(name))


def make_cupy(folder: Path, headers: Path) -> None:
    """CuPy and what is installed beside it, in site/ as in site-packages."""
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        toolkit = make_toolkit(temporary / "toolkit", headers)
        found = {"CUDA_PATH": str(toolkit), "LD_LIBRARY_PATH": str(toolkit / "lib64")}
        fetch(temporary, "--no-binary", "cupy", f"cupy=={CUPY}", **found)
        (archive,) = temporary.glob("cupy-*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(temporary, filter="data")
        sources = temporary / archive.name.removesuffix(".tar.gz")
        patch_cupy.patch(sources, SHIM)
        flags = {"CFLAGS": FLAGS, "CXXFLAGS": FLAGS, "LDFLAGS": "-Wl,--no-as-needed"}
        wheel = ("wheel", "--no-deps", "--wheel-dir", temporary, sources)
        pip(*wheel, CUPY_NUM_BUILD_JOBS="2", **flags, **found)
        (wheel,) = temporary.glob("cupy-*.whl")
        beside = temporary / "beside"
        fetch(beside, "--only-binary", ":all:", *BESIDE_CUPY)
        pip("install", "--no-deps", "--target", folder / "site", wheel, *beside.glob("*.whl"))


def make_toolkit(folder: Path, headers: Path) -> Path:
    """A CUDA toolkit to link CuPy with: real headers, empty libraries, and an nvcc that refuses."""
    (folder / "lib64").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "include").symlink_to(headers / "include")
    # where the static runtime would be, an archive of nothing: pip asks unpatched sources too
    (folder / "lib64" / "libcudart_static.a").write_bytes(b"!<arch>\n")
    nvcc = folder / "bin" / "nvcc"
    nvcc.write_text("#!/bin/sh\nexit 1\n")
    nvcc.chmod(0o755)
    for library, version in SONAMES.items():
        empty_library(folder / "lib64", library, version)
    return folder


def empty_library(folder: Path, library: str, version: int) -> None:
    """A library that has its name, and nothing else."""
    source = folder / "nothing.cpp"
    source.write_text("int cpushim_nothing;\n")
    link(folder, library, version, [source])
    source.unlink()


def link(folder: Path, library: str, version: int, sources: list[Path], *options: str) -> None:
    """Make folder/libNAME.so.VERSION of sources, and libNAME.so, a link to it."""
    soname = f"lib{library}.so.{version}"
    shared = ["-O2", "-w", "-fPIC", "-shared", f"-Wl,-soname,{soname}", "-Wl,-rpath,$ORIGIN"]
    run(["g++", *shared, *sources, "-o", folder / soname, *options])
    plain = folder / f"lib{library}.so"
    plain.unlink(missing_ok=True)
    plain.symlink_to(soname)


OURS = {  # a library: its sources in shim/, and what it is linked with
    "cuda": (["cuda.cpp", "fibers.cpp"], ["-l:libcudart.so.12", "-ldl", "-lpthread"]),
    "nvrtc": (["nvrtc.cpp", "kernel_source.cpp"], ["-ldl"]),
    "cublas": (["cublas.cpp", "gemm.cpp"], ["-l:libcudart.so.12", "-ldl"]),
}
RUNTIME = ["runtime.cpp", "memory.cpp", "streams.cpp", "captures.cpp", "sorting.cpp"]


def make_libraries(folder: Path, headers: Path, cupy: Path) -> None:
    """CUDA's libraries for the CPU in lib64/, and what NVRTC compiles kernels with in device/."""
    libraries, device = folder / "lib64", folder / "device"
    libraries.mkdir()
    device.mkdir()
    (folder / "include").symlink_to(Path("..") / headers.name / "include")
    for name in ("cpushim_device.h", "kernel_abi.h"):
        shutil.copy(SHIM / name, device)
    openblas = Path("..") / ".." / cupy.name / "site/scipy_openblas32/lib/libscipy_openblas.so"
    (libraries / "libcpushim_openblas.so").symlink_to(openblas)
    options = ["-std=c++17", f"-I{headers / 'include'}", f"-L{libraries}"]
    with ThreadPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as temporary:

        def compiled(sources: list[str]) -> list[Path]:
            objects = [Path(temporary, source).with_suffix(".o") for source in sources]
            flags = ["-c", "-O2", "-w", "-fPIC", *options]
            commands = [
                ["g++", *flags, SHIM / source, "-o", target]
                for source, target in zip(sources, objects, strict=True)
            ]
            list(pool.map(run, commands))
            return objects

        made = {library: compiled(sources) for library, (sources, _) in OURS.items()}
        made["cudart"] = compiled(RUNTIME)
        refusing = refusals.sources(cupy / "site", made, Path(temporary))
        made["cudart"].append(refusing.pop("cudart"))
        link(libraries, "cudart", SONAMES["cudart"], made["cudart"], "-lpthread")
        for library, (_, linked) in OURS.items():
            extra = [refusing.pop(library)] if library in refusing else []
            link(libraries, library, SONAMES[library], made[library] + extra, *options, *linked)
        for library, source in refusing.items():
            link(libraries, library, SONAMES[library], [source])
        for library, version in UNCALLED.items():
            empty_library(libraries, library, version)


@dataclass(frozen=True)
class Built:
    """Where the three parts are."""

    headers: Path
    cupy: Path
    libraries: Path


def built() -> Built:
    """The three parts, each built where it is not kept already. BuildError says what failed."""
    python = f"{sys.implementation.cache_tag} {platform.machine()}"
    own = [HERE / "build.py", HERE / "parts.py"]
    headers = parts.kept("headers", [*HEADERS], make_headers)
    replaced = [SHIM / ours for ours in patch_cupy.REPLACED.values()]
    made_from = [python, CUPY, headers.name, FLAGS, *BESIDE_CUPY, *replaced]
    made_from.append(HERE / "patch_cupy.py")
    cupy = parts.kept("cupy", made_from, lambda folder: make_cupy(folder, headers))
    made_from = [headers.name, cupy.name, *own, HERE / "refusals.py", *sorted(SHIM.iterdir())]
    libraries = parts.kept(
        "libraries", made_from, lambda folder: make_libraries(folder, headers, cupy)
    )
    return Built(headers, cupy, libraries)
