"""Runs the tests for a GPU where there is none: the real CuPy, built for the CPU.

    python tests/cupy_on_cpu/run.py                        # build it, then all checks
    python tests/cupy_on_cpu/run.py --long                 # the slow ones too
    python tests/cupy_on_cpu/run.py --only suite lazy      # some checks
    python tests/cupy_on_cpu/run.py -- COMMAND ...         # any command, with CuPy on the CPU

The build is kept in ${XDG_CACHE_HOME:-~/.cache}/mnistgpu/cupy_on_cpu. Where it cannot be built, the
reason is printed and the exit status is 0. The README beside this file says what this shows.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import site
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import build
import parts

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PARITY = ROOT / "benchmarks" / "results" / "parity-cupy-on-cpu.json"
LAZY = {"CPUSHIM_LAZY": "1"}
CUB = {"CPUSHIM_CUB": "1"}  # sums as CuPy makes them on a GPU, and the quickest here
NO_POOL = {"CPUSHIM_NOPOOL": "1"}


@dataclass(frozen=True)
class Check:
    """A command that must end with status 0, and the settings of the device that it runs on."""

    what: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    when: str = "always"  # or "long", or "asked for": with --only


def pytest(*arguments: str, processes: int = 2) -> list[str]:
    """The command that runs tests with CuPy, by several processes."""
    shared = ["-n", str(processes), "--dist", "worksteal"] if processes > 1 else []
    return ["python", "-m", "pytest", "-q", *shared, *arguments]


QUICK = ["-m", "gpu and not slow"]
STEPS = ["tests/engine/gpu", "--ignore", "tests/engine/gpu/test_launches.py"]  # whose counts stay
REST = ["--ignore", "tests/cupy_on_cpu"]  # which `device` runs
POOL = ["--ignore", "tests/engine/test_memory.py"]  # it asks the pool how much is in use
CHECKS = {
    "device": Check("the device itself", pytest(*QUICK, "tests/cupy_on_cpu", processes=1)),
    "suite": Check("the tests for a GPU", pytest(*QUICK, *REST, "--durations", "30"), CUB),
    "lazy": Check("work on a stream done late", pytest(*QUICK, *STEPS), LAZY),
    "poisoned": Check("arrays with memory of their own", pytest(*QUICK, *STEPS), NO_POOL),
    "planted": Check("errors that the tests must find", ["python", str(HERE / "planted.py")]),
    "slow": Check("the slow tests for a GPU", pytest("-m", "gpu and slow"), when="long"),
    "lazy, all": Check("the tests for a GPU, done late", pytest(*QUICK), LAZY, when="long"),
    "poisoned, all": Check("the same without a pool", pytest(*QUICK, *POOL), NO_POOL, when="long"),
    "parity": Check(
        f"the differences from NumPy, into {PARITY.name}",
        pytest("-m", "gpu", "tests/core/test_backends_agree.py", processes=1),
        {"MNISTGPU_PARITY_REPORT": str(PARITY)},
        when="asked for",
    ),
}


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The variables under which `python` has CuPy for the CPU, and all packages of this Python.

    It is a virtual environment, and not PYTHONPATH, which some tests set for what they start.
    """
    built, usual = build.built(), os.environ.get
    kernels = parts.cache() / f"kernels-{parts.key_of([processor()])}"
    with tempfile.TemporaryDirectory(prefix="cupy-on-cpu-") as name:
        venv.EnvBuilder(symlinks=True).create(name)
        here = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        own = [*site.getsitepackages(), site.getusersitepackages()]
        lines = [str(built.cupy / "site")]
        lines += [f"import site; site.addsitedir({each!r})" for each in own if each in sys.path]
        Path(name, here, "cupy_on_cpu.pth").write_text("\n".join(lines) + "\n")

        def joined(*folders: Path | str | None) -> str:
            return os.pathsep.join(str(folder) for folder in folders if folder)

        yield {
            **os.environ,
            "PATH": joined(Path(name, "bin"), usual("PATH")),
            "PYTHONPATH": joined(usual("PYTHONPATH"), ROOT),
            "LD_LIBRARY_PATH": joined(built.libraries / "lib64", usual("LD_LIBRARY_PATH")),
            "CUDA_PATH": str(built.libraries),
            "CUPY_ACCELERATORS": "",  # CUB's headers cannot be compiled for the CPU
            "CUPY_CACHE_DIR": str(kernels / f"cupy-{built.libraries.name}"),
            "CPUSHIM_CACHE_DIR": str(kernels),
        }


def processor() -> str:
    """What kernels that are compiled here can use: the processor's instructions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line for line in lines if line.startswith("flags")), platform.processor())


def carry_out(checks: dict[str, Check], variables: dict[str, str]) -> int:
    """Run the checks one after the other; print the minutes of each. The exit status."""
    rows, failed = [], 0
    for name, check in checks.items():
        settings = " ".join(f"{variable}={value}" for variable, value in check.settings.items())
        print(f"\n-- CuPy on the CPU, {name}: {check.what} {settings}".rstrip(), flush=True)
        started = time.monotonic()
        done = subprocess.run(check.command, cwd=ROOT, env={**variables, **check.settings})
        minutes = (time.monotonic() - started) / 60
        failed += done.returncode != 0
        status = "passed" if done.returncode == 0 else f"FAILED with status {done.returncode}"
        rows.append(f"{minutes:6.1f} min  {name:<14} {status}")
    print("\n" + "\n".join(rows))
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="run the slow checks too")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), help="run these checks")
    parser.add_argument("command", nargs="*", help="a command to run instead, after --")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: leave no folder behind
    if why := build.why_not():
        return skipped(why, asked.command)
    whens = {"always", "long"} if asked.long else {"always"}
    checks = {
        name: check
        for name, check in CHECKS.items()
        if (name in asked.only if asked.only else check.when in whens)
    }
    try:
        with environment() as variables:
            if asked.command:
                return subprocess.run(asked.command, env=variables).returncode
            return carry_out(checks, variables)
    except build.NotFetchedError as error:
        return skipped(str(error), asked.command)
    except build.BuildError as error:
        print(f"error: CuPy could not be built: {error}", file=sys.stderr)
        return 1


def skipped(why: str, command: list[str]) -> int:
    """Say why nothing was checked; a command that was asked for and not run has failed."""
    print(f"skipped: {why}", flush=True)
    return 1 if command else 0


if __name__ == "__main__":
    sys.exit(main())
