"""benchmarks/pack_wheels.py packs a set of wheels that is whole, one version of each."""

import zipfile

import pytest
from helpers.mnist import ROOT


@pytest.fixture
def pack(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import pack_wheels

    return pack_wheels


def write_wheel(folder, name, *requirements):
    path = folder / f"{name}-py3-none-any.whl"
    package, version = name.split("-")
    lines = ["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requirements]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.dist-info/METADATA", "\n".join(lines) + "\n")
    return path


def test_what_is_packed_is_what_the_project_needs(pack):
    for cuda in (12, 13):
        named = pack.packages(cuda)
        assert not any(each.startswith("cupy") for each in named)
        (bindings,) = (each for each in named if each.startswith("cuda-bindings"))
        assert f">={cuda}" in bindings
        assert any(each.startswith("nvmath-python") for each in named)
        assert {"cuda-core", "cuda-pathfinder", "threadpoolctl"} <= set(named)


def test_a_requirement_that_is_missing_is_named(pack, tmp_path):
    one = write_wheel(
        tmp_path, "nvmath_python-1.0", "numpy>=1.25", "cuda-core", "Some.Thing",
        "pywin32; sys_platform == 'win32'", "other; extra == 'dev'", "old; python_version < '3.11'",
    )  # fmt: skip
    write_wheel(tmp_path, "cuda_core-1.2")
    assert pack.lacking(tmp_path, "3.12") == {"some-thing": one.name}
    assert pack.lacking(tmp_path, "3.10") == {"some-thing": one.name, "old": one.name}


def test_an_older_version_makes_way_and_other_files_stay(pack, tmp_path):
    new, out = tmp_path / "new", tmp_path / "wheels"
    new.mkdir()
    out.mkdir()
    write_wheel(out, "cuda_core-1.1")
    write_wheel(out, "cuda_core_extra-1.0")
    (out / "notes.txt").write_text("mine")
    size = write_wheel(new, "cuda_core-1.2").stat().st_size
    assert pack.put(new, out) == size
    assert sorted(path.name.partition("-py3")[0] for path in out.iterdir()) == [
        "cuda_core-1.2",
        "cuda_core_extra-1.0",
        "notes.txt",
    ]
