"""What is read and written is checked first: a path, a folder, a size, whose file it is."""

import json
import os

import pytest

from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.storage import files


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        (7, UsageError, "--out: must be a path, as text or a Path, not int"),
        (b"run", UsageError, "--out: must be a path, as text or a Path, not bytes"),
        (
            "a\0b",
            RunError,
            r"--out a\x00b: cannot be used (embedded null byte); choose another path",
        ),
        ("a" * 300, RunError, f"--out {'a' * 300}: cannot be used (File name too long); choose"),
    ],
)
def test_what_is_no_path_is_refused(given, error, sentence):
    with pytest.raises(error) as caught:
        files.path_of(given, "--out")
    assert str(caught.value).startswith(sentence)


def test_paths_that_lead_nowhere_yet_are_paths(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "new" / "run", tmp_path / "file" / "run"):
        assert files.path_of(str(path), "--out") == path


def test_a_directory_is_made_with_its_parents(tmp_path):
    path = tmp_path / "some" / "run"
    files.make_directory(path)
    files.make_directory(path)
    assert path.is_dir()
    with pytest.raises(FileExistsError):  # the caller says what is there
        files.make_directory(path, exist_ok=False)


@pytest.mark.parametrize("exist_ok", [True, False])
def test_a_directory_that_cannot_be_made_is_said(tmp_path, exist_ok):
    (tmp_path / "file").touch()
    sentence = "the directory cannot be made .Not a directory.; choose another one"
    with pytest.raises(RunError, match=sentence):
        files.make_directory(tmp_path / "file" / "run", exist_ok=exist_ok)


def test_a_file_in_the_place_of_a_directory_is_said(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(RunError, match=r"run: the directory cannot be made .File exists."):
        files.make_directory(tmp_path / "run")


def test_a_result_is_refused_before_the_work_if_it_cannot_be_written(tmp_path, monkeypatch):
    files.check_folder("--out", tmp_path / "it.html")
    with pytest.raises(RunError, match=r"it\.html: no such folder; make it, or name another"):
        files.check_folder("--out", tmp_path / "none" / "it.html")
    with pytest.raises(RunError, match="cannot be written; name another file"):
        files.check_folder("--out", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # also for root
    with pytest.raises(RunError, match=r"it\.html: cannot be written; name another file"):
        files.check_folder("--out", tmp_path / "it.html")


def test_lines_are_added_to_files_alone(tmp_path, monkeypatch):
    files.check_appendable("--log", tmp_path / "new.csv")
    (tmp_path / "old.csv").write_text("a\n")
    files.check_appendable("--log", tmp_path / "old.csv")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dead").symlink_to("nowhere")
    for name in ("pipe", "dead"):
        with pytest.raises(RunError, match=f"{name}: cannot be written; name another file"):
            files.check_appendable("--log", tmp_path / name)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path == tmp_path and access(path, mode))
    with pytest.raises(RunError, match=r"old\.csv: cannot be written; name another file"):
        files.check_appendable("--log", tmp_path / "old.csv")


@pytest.mark.parametrize(
    ("content", "is_ours"),
    [
        (b"mark", True),
        (b" " * (2**16 - 4) + b"mark", True),
        (b" " * (2**16 - 3) + b"mark", False),
        (b"mar", False),
        (b"", False),
    ],
)
def test_only_a_file_with_our_mark_is_replaced(tmp_path, content, is_ours):
    path = tmp_path / "it.PNG"
    files.check_ours("--out", path, ".png", b"mark")
    path.write_bytes(content)
    if is_ours:
        files.check_ours("--out", path, ".png", b"mark")
    else:
        with pytest.raises(
            UsageError, match=r"it\.PNG: the file exists and is not one this program"
        ):
            files.check_ours("--out", path, ".png", b"mark")
    with pytest.raises(UsageError, match=r"it\.PNG: the name must end with \.html"):
        files.check_ours("--out", path, ".html", b"mark")
    with pytest.raises(RunError, match="no such folder"):
        files.check_ours("--out", tmp_path / "none" / "it.png", ".png", b"mark")


def test_a_file_larger_than_its_limit_is_not_read(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(DataError, match="it: 5 bytes, where at most 4 are expected; check that"):
        files.read_bytes(path, 4)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "it: not valid JSON .Expecting property name"),
        ("[1]", "it: expected a JSON object, in braces; was it edited?"),
        ("[" * 100_000, "it: not valid JSON .maximum recursion depth exceeded"),
        (b"\xff", "it: not valid JSON .'utf-8' codec"),
        (" " * (2**20 + 1), "it: 1,048,577 bytes, where at most 1,048,576 are expected"),
    ],
)
def test_json_that_is_none_is_said(tmp_path, content, sentence):
    path = tmp_path / "it"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=sentence):
        files.read_json(path)


def test_json_is_read_as_it_was_written(tmp_path):
    value = {"b": [1, None], "a": "é"}
    files.replace_json(tmp_path / "it", value)
    assert files.read_json(tmp_path / "it") == value
    assert (tmp_path / "it").read_text() == json.dumps(value, indent=2) + "\n"
    padded = json.dumps(value).ljust(2**20)
    (tmp_path / "it").write_text(padded)
    assert files.read_json(tmp_path / "it") == value


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, sentence in (
        ("pipe", "pipe: not a regular file; give the path of a file"),
        ("none", "none: no such file; check the path"),
    ):
        with pytest.raises(DataError, match=sentence), files.opened(tmp_path / name):
            pass


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(5, "Input/output error"), "it: cannot be read .Input/output error."),
        (MemoryError(), "it: does not fit in memory; use a machine that has more"),
    ],
)
def test_a_file_that_fails_while_it_is_read_is_said(tmp_path, error, sentence):
    (tmp_path / "it").touch()
    with pytest.raises(DataError, match=sentence), files.opened(tmp_path / "it"):
        raise error
