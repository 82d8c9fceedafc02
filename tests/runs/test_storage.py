"""Storage that fails during a run (full, read-only, removed) takes nothing that was good."""

import contextlib
import shutil
import subprocess

import pytest
from helpers.runs import (
    LONG,
    STEPS,
    begun,
    contents,
    ended,
    mounted,
    one_sentence,
    run,
)

from mnistgpu.models import model
from mnistgpu.runs import checkpoint


def check_full(path, process):
    """The process met a full disk: a sentence, exit 1, and its last checkpoint is whole."""
    returned, errors = ended(process)
    assert returned == 1, errors
    sentence = one_sentence(errors)
    saved = checkpoint.load(path)
    assert sentence.startswith(f"error: {path / checkpoint.FILE}: cannot be written (")
    assert f"keeps the run as it was after iteration {saved.taken:,}" in sentence
    assert set(contents(path)) <= {"settings.json", checkpoint.FILE}
    return sentence


@pytest.mark.slow
def test_a_full_disk(options, tmp_path):
    with mounted(tmp_path / "disk", 400) as disk:
        path = disk / "run"
        process = begun(path, *options, "--iterations", LONG)
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        assert "No space left on device" in check_full(path, process)
        (disk / "filler").unlink()
        done = run("--resume", path, "--iterations", checkpoint.load(path).taken + 5, "--quiet")
        assert done.returncode in (0, 1), done.stderr  # the report may be too large for this disk
        assert model.load(path).theta.shape == (12730,)


@pytest.mark.slow
def test_a_limit_on_file_sizes(options, tmp_path):
    """As a full disk, where nothing can be mounted: history and checkpoint outgrow the limit."""
    import resource  # here, since Windows has none: there this test is skipped

    path = tmp_path / "run"
    bytes_allowed = 4 * 12730 * 2 + 4_000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_allowed, bytes_allowed))

    process = begun(path, *options, "--iterations", LONG, preparation=limit)
    assert "File too large" in check_full(path, process)


@pytest.mark.slow
def test_a_directory_that_cannot_be_written(options, uninterrupted, tmp_path):
    with mounted(tmp_path / "disk", 2000) as disk:
        shutil.copytree(uninterrupted, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for arguments in (
            ["--out", disk / "new", "--iterations", 5, *options],
            ["--out", disk / "run", "--iterations", 5, "--force", *options],
            ["--resume", disk / "run", "--iterations", STEPS + 5, "--force"],
        ):
            done = run(*arguments)
            assert done.returncode == 1
            assert "Read-only file system" in one_sentence(done.stderr)
        done = run("--resume", disk / "run", "--iterations", STEPS + 5, "--out", tmp_path / "run")
        assert done.returncode == 0, done.stderr


def test_a_directory_that_is_removed(options, tmp_path):
    path = tmp_path / "run"
    process = begun(path, *options, "--iterations", LONG)
    path.rename(tmp_path / "elsewhere")  # at once, where rmtree would race with the next save
    returned, errors = ended(process)
    assert returned == 1
    assert "No such file or directory" in one_sentence(errors)
    assert "no checkpoint of it is left" in errors
