"""Paths that cannot be read: missing, closed, of another kind, or failing while they are read."""

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.bad_digit_files import IMAGES, IMAGES_FILE, PAIR, TABLE, check_refusal, sentence
from helpers.digit_files import idx_bytes, npz_bytes

BAD = {
    "nothing there": (
        lambda tmp: tmp / "nowhere",
        "nowhere: cannot be read .No such file.*; check",
    ),
    "empty folder": (
        lambda tmp: tmp,
        "holds neither train-images-idx3-ubyte .* nor train.csv, nor other files .*; give",
    ),
    "zero byte in the name": (lambda tmp: tmp / "a\0b", "cannot be read .*; check the path"),
    "name too long": (lambda tmp: tmp / ("a" * 300), "cannot be read .File name too long.; check"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_paths(tmp_path, case):
    check_refusal(tmp_path, *BAD[case])


def test_a_folder_where_a_file_is_meant(tmp_path):
    (tmp_path / "train.csv").mkdir()
    assert re.search(r"holds neither .*; give", sentence(tmp_path))
    assert re.search(r"train\.csv: holds neither .*; give", sentence(tmp_path / "train.csv"))
    (tmp_path / IMAGES_FILE).mkdir()
    assert re.search(r"holds neither .*; give", sentence(tmp_path))


def test_a_file_where_a_folder_is_meant(tmp_path):
    for name in ("file", "d.csv", "d.zst"):
        (tmp_path / name).write_bytes(idx_bytes(IMAGES))
        assert "Not a directory" in sentence(tmp_path / name / IMAGES_FILE)


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.npz").symlink_to("nothing")
    (tmp_path / IMAGES_FILE).symlink_to("nothing")
    assert re.search(r"loop\.csv: cannot be read .*; check", sentence(tmp_path / "loop.csv"))
    assert re.search(r"gone\.npz: cannot be read .*; check", sentence(tmp_path / "gone.npz"))
    assert re.search(rf"{IMAGES_FILE}: cannot be read .*; check", sentence(tmp_path))


@contextmanager
def as_nobody():
    """Run as the user nobody where the tests run as root, who may read every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["d.csv", "d.npz", IMAGES_FILE])
def test_a_file_without_the_right_to_read(name):
    with tempfile.TemporaryDirectory() as root:  # other users may not enter pytest's own folders
        os.chmod(root, 0o755)
        path = Path(root, name)
        path.write_bytes(TABLE)
        path.chmod(0)
        with as_nobody():
            assert "cannot be read (Permission denied); check its permissions" in sentence(path)
        os.chmod(root, 0o311)
        with as_nobody():
            assert "cannot be listed (Permission denied); check" in sentence(Path(root))
        os.chmod(root, 0o700)
        if os.geteuid() == 0:
            with as_nobody():
                assert "cannot be read (Permission denied); check the path" in sentence(path)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    """A file that can be opened may still fail to be read."""

    def fail(*_):
        raise OSError(5, "Input/output error")

    for name, content in (("d.csv", TABLE), ("d.idx", idx_bytes(IMAGES))):
        (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr("mnistgpu.data.streams.BlockReader.read", fail)
            assert f"{name}: cannot be read (Input/output error); check" in sentence(
                tmp_path / name
            )


def test_memory_that_does_not_suffice(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    for name, content in (
        ("d.csv", TABLE),
        ("d.idx", idx_bytes(IMAGES)),
        ("d.npz", npz_bytes(**PAIR)),
    ):
        (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", fail)
            assert f"{name}: does not fit in memory; split it" in sentence(tmp_path / name)
