"""A file is replaced whole: what is flushed when, who may read it, what stays if it fails."""

import os
import stat

import pytest

from mnistgpu.errors import DataError, RunError
from mnistgpu.storage import files


def test_content_is_flushed_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    """After a power cut the name leads to the whole old file or to the whole new one."""
    path, done = tmp_path / "it", []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append((f"flush the {kind}", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def noted_replace(source, target):
        done.append(("rename", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    files.replace_bytes(path, b"new")
    new, directory = path.stat().st_ino, tmp_path.stat().st_ino
    assert done == [("flush the file", new), ("rename", new), ("flush the directory", directory)]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_others_may_read_what_is_written(tmp_path, mask):
    """As with files that other programs write, although temporary files are private."""
    before = os.umask(mask)
    try:
        files.replace_bytes(tmp_path / "it", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "it").stat().st_mode) == 0o644


def test_the_new_content_is_checked_before_it_replaces_the_old(tmp_path):
    path, seen = tmp_path / "it", []
    path.write_bytes(b"old")

    def refuse(written):
        seen.append((written.read_bytes(), path.read_bytes()))
        raise RunError("it reads back differently")

    with pytest.raises(RunError, match="differently"):
        files.replace_bytes(path, b"new", refuse)
    assert seen == [(b"new", b"old")]
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("it", b"old")]


def test_a_file_may_have_as_many_bytes_as_the_limit(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, limit=5) == b"12345"
    with pytest.raises(DataError, match="5 bytes, where at most 4 are expected"):
        files.read_bytes(path, limit=4)


def test_only_leftovers_of_these_files_are_removed(tmp_path):
    """A person's own hidden files stay."""
    for name in (
        ".model.k1lled_0",
        ".model",
        "model",
        ".model.swp",
        ".model.notes",
        ".other.k1lled_0",
    ):
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path, ["model"])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".model", "model", ".model.swp", ".model.notes", ".other.k1lled_0"}


def test_the_content_is_in_the_file_when_it_is_flushed(tmp_path, monkeypatch):
    """All of it has left the program's own buffer by then."""
    fsync, sizes = os.fsync, []

    def noted_fsync(descriptor):
        sizes.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    files.replace_bytes(tmp_path / "it", b"twelve bytes")
    assert sizes[0] == 12
