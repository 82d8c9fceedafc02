"""Fetches what a GPU's machine without a network needs for --graph and bf16, to be carried there.

Run:  python benchmarks/pack_wheels.py                            (Python 3.12, CUDA 13)
      python benchmarks/pack_wheels.py --python 3.11 --cuda 12

Writes .ci/wheels-gpu/, which git ignores: nvmath-python with the bindings of the
same CUDA, and threadpoolctl. Carry the folder there: benchmarks/on_gpu.sh takes from it what is
missing; or install it with the command that is printed. CuPy itself, which is far larger with
CUDA's libraries, must be there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
WHEELS = ROOT / ".ci" / "wheels-gpu"
GLIBC = range(39, 16, -1)  # pip compares a wheel's glibc exactly: every version that may be named
BESIDE = ("cuda-core", "cuda-pathfinder", "threadpoolctl")  # which nvmath-python needs
THERE = {"numpy"}  # which CuPy needs too


def packages(cuda: int) -> list[str]:
    """What is fetched; nvmath-python and cuda-bindings in the versions of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["optional-dependencies"][f"cuda{cuda}"]
    return [each for each in named if not each.startswith("cupy")] + list(BESIDE)


def lacking(folder: Path, python: str) -> dict[str, str]:
    """What the wheels of a folder need and neither it nor THERE has: the package that needs it."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "extra": "",
    }
    needed, found = {}, set(THERE)
    for path in folder.glob("*.whl"):
        found.add(canonicalize_name(path.name.partition("-")[0]))
        with zipfile.ZipFile(path) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = Parser().parsestr(wheel.read(name).decode())
        for each in map(Requirement, metadata.get_all("Requires-Dist", [])):
            if each.marker is None or each.marker.evaluate(there):
                needed[canonicalize_name(each.name)] = path.name
    return {name: by for name, by in needed.items() if name not in found}


def fetch(folder: Path, python: str, cuda: int) -> None:
    """Fetch the wheels for Linux on x86-64 into a folder. Exits with pip's message if it fails."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    command += [word for platform in platforms for word in ("--platform", platform)]
    subprocess.run([*command, *packages(cuda)], check=True, cwd=folder)


def put(folder: Path, out: Path) -> int:
    """Move the wheels of a folder into `out`, without other versions of them; their bytes."""
    size = 0
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.whl")):
        for old in out.glob(f"{path.name.partition('-')[0]}-*.whl"):
            old.unlink()
        size += path.stat().st_size
        shutil.move(path, out)
        print(path.name)
    return size


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default="3.12", help="Python there, as 3.12 (the default)")
    parser.add_argument("--cuda", type=int, default=13, choices=[12, 13], help="CUDA's major there")
    parser.add_argument("--out", type=Path, default=WHEELS, help="folder to write")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            fetch(folder, asked.python, asked.cuda)
        except subprocess.CalledProcessError as error:
            print(f"error: pip ended with {error.returncode}; see above", file=sys.stderr)
            return 1
        if missing := lacking(folder, asked.python):
            for package, by in missing.items():
                print(f"error: {by} needs {package}: add it to BESIDE or THERE", file=sys.stderr)
            return 1
        size = put(folder, asked.out)
    print(f"{size / 1e6:.1f} MB in {asked.out}; there, in the folder that holds it:")
    print(f"python -m pip install --no-index --no-deps {asked.out.name}/*.whl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
