"""What is built is kept, made anew where anything has changed, and never used half-made."""

import os
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("CuPy on the CPU is for Linux", allow_module_level=True)

import build
import parts
import patch_cupy
import refusals
import run


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def make(folder):
    (folder / "lib").mkdir()
    (folder / "lib" / "one.so").write_text("first")
    (folder / "lib" / "two.so").symlink_to("one.so")


def must_not_be_made(folder):
    pytest.fail("it was built again")


def test_a_part_is_built_once(tmp_path, capsys):
    folder = parts.kept("thing", ["1.0"], make)
    assert folder.parent == tmp_path / "mnistgpu" / "cupy_on_cpu"
    assert "is not there yet" in capsys.readouterr().out
    cache = folder / "lib" / "__pycache__"
    cache.mkdir()
    (cache / "of_python.pyc").write_text("")
    assert parts.kept("thing", ["1.0"], must_not_be_made) == folder
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lock", folder.name]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda lib: (lib / "one.so").write_text("other"), "has a changed file, lib/one.so"),
        (lambda lib: (lib / "one.so").unlink(), "lacks the file lib/one.so"),
        (lambda lib: ((lib / "two.so").unlink(), (lib / "two.so").symlink_to("x")), "two.so"),
        (lambda lib: (lib.parent / parts.LIST).write_text("{"), "damaged list"),
        (lambda lib: (lib.parent / parts.LIST).unlink(), "is not there yet"),
    ],
)
def test_a_damaged_part_is_built_again(capsys, harm, why):
    folder = parts.kept("thing", ["1.0"], make)
    harm(folder / "lib")
    capsys.readouterr()
    assert parts.kept("thing", ["1.0"], make) == folder
    assert why in capsys.readouterr().out
    assert parts.damage(folder) == ""
    assert (folder / "lib" / "two.so").read_text() == "first"


def test_a_build_that_breaks_leaves_nothing():
    def breaks(folder):
        make(folder)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        parts.kept("thing", ["1.0"], breaks)
    assert [path.name for path in parts.cache().iterdir()] == ["lock"]
    assert parts.kept("thing", ["1.0"], make).exists()


def test_the_key_follows_everything_that_a_part_is_made_from(tmp_path):
    source = tmp_path / "source.cpp"
    source.write_text("1")
    keys = {parts.key_of(["1.0", source]), parts.key_of(["1.1", source]), parts.key_of(["1.0"])}
    source.write_text("2")
    keys.add(parts.key_of(["1.0", source]))
    assert len(keys) == 4


def test_parts_that_nobody_uses_are_deleted():
    old, recent = (parts.kept("thing", [version], make) for version in ("1", "2"))
    month = time.time() - 86400 * (parts.UNUSED_DAYS + 1)
    os.utime(old, (month, month))
    other = parts.kept("other", ["1"], make)
    assert old.exists()  # only where a part of that name is built
    parts.kept("thing", ["3"], make)
    assert not old.exists()
    assert recent.exists()
    assert other.exists()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("system", "Darwin", "runs on Linux"),
        ("machine", "aarch64", "runs on Linux with an x86-64 processor, and this is Linux"),
    ],
)
def test_other_machines_are_told_why_not(monkeypatch, name, value, why):
    monkeypatch.setattr(build.platform, name, lambda: value)
    assert why in build.why_not()


def test_without_a_compiler_the_reason_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(build.platform, "system", lambda: "Linux")
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.why_not().startswith("there is no g++ and no nm: install g++")


def test_without_the_packages_it_is_skipped_and_a_failed_build_is_an_error(monkeypatch, capsys):
    def fails(command, *where, **environment):
        raise build.BuildError("pip: no such package")

    monkeypatch.setattr(build, "why_not", lambda: "")
    monkeypatch.setattr(build, "run", fails)
    monkeypatch.setattr(run.signal, "signal", lambda *handler: None)
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert run.main() == 0
    assert "skipped: pip cannot fetch nvidia-cuda-runtime" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["run.py", "--", "python"])
    assert run.main() == 1  # what was asked for was not done
    monkeypatch.setattr(build, "fetch", fails)
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert run.main() == 1
    assert capsys.readouterr().err == "error: CuPy could not be built: pip: no such package\n"


def test_an_unknown_cupy_is_refused(tmp_path):
    for theirs in patch_cupy.REPLACED:
        (tmp_path / theirs).parent.mkdir(parents=True, exist_ok=True)
    features = tmp_path / patch_cupy.FEATURES
    features.parent.mkdir(parents=True)
    features.write_text("another file")
    with pytest.raises(ValueError, match="this CuPy is not known here"):
        patch_cupy.patch(tmp_path, build.SHIM)


def test_functions_that_are_not_there_refuse(tmp_path, monkeypatch):
    site = tmp_path / "site"
    for top in ("cupy", "cupyx"):
        (site / top).mkdir(parents=True)
        (site / top / "module.so").write_text("")
    wanted = {"cudaMalloc", "cublasCreate", "cudart", "cufftPlan1d", "printf"}
    monkeypatch.setattr(
        refusals,
        "symbols",
        lambda path, *which: wanted if "--undefined-only" in which else {"cudaMalloc"},
    )
    found = refusals.sources(site, {"cudart": [tmp_path / "runtime.o"]}, tmp_path)
    texts = {library: path.read_text() for library, path in found.items()}
    assert texts["cudart"] == ""
    assert texts["cublas"] == 'extern "C" int cublasCreate() { return 15; }\n'
    assert texts["cufft"] == 'extern "C" int cufftPlan1d() { return 16; }\n'
