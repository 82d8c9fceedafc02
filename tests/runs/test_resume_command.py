"""`mnistgpu train --resume`: what a run goes on with, and what is refused."""

import os
import shutil
from dataclasses import replace

import pytest
from helpers import runs
from helpers.runs import (
    STEPS,
    contents,
    one_sentence,
    run,
    run_here,
)

from mnistgpu.errors import DataError
from mnistgpu.runs import checkpoint, run_directory


@pytest.mark.slow
def test_finished_is_finished(uninterrupted, tmp_path, options):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    done = run("--resume", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished, after iteration 400; nothing to do" in done.stdout
    done = run_here("--resume", path, "--iterations", STEPS + 50)
    assert done.returncode == 2
    assert "give --out another directory" in one_sentence(done.stderr)
    assert contents(path) == before

    longer = tmp_path / "longer"
    done = run("--resume", path, "--iterations", STEPS + 50, "--out", longer)
    assert done.returncode == 0, done.stderr
    assert contents(path) == before
    assert run_here(*options, "--iterations", STEPS + 50, "--out", tmp_path / "new").returncode == 0
    name = "model.safetensors"
    assert (longer / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    done = run_here("--resume", path, "--iterations", STEPS + 50, "--force")
    assert done.returncode == 0, done.stderr
    assert (path / name).read_bytes() == (longer / name).read_bytes()


@pytest.mark.slow
def test_a_kill_between_the_last_step_and_the_last_file(uninterrupted, tmp_path):
    """Each state in which the files of a finished run may be left is finished by --resume."""
    whole = contents(uninterrupted)
    order = ("model.safetensors", "history.csv", "settings.json", "results.json", "report.png")
    for written in range(len(order)):
        path = tmp_path / str(written)
        path.mkdir()
        for name in (checkpoint.FILE, *order[:written]):
            (path / name).write_bytes(whole[name])
        done = run_here("--resume", path)
        assert done.returncode == 0, done.stderr
        after = contents(path)
        assert set(after) == set(run_directory.FILES)
        for name in ("model.safetensors", "history.csv", "settings.json"):
            assert after[name] == whole[name], name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["results.json", "settings.json"])
def test_a_damaged_sign_of_a_finished_run_is_none(uninterrupted, tmp_path, name):
    """The run is there, whole, in its checkpoint: what says that it is finished is written anew."""
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    (path / name).write_bytes((path / name).read_bytes()[:-20])
    done = run_here("--resume", path)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" not in done.stdout
    for whole in ("model.safetensors", "settings.json"):
        assert (path / whole).read_bytes() == (uninterrupted / whole).read_bytes()
    assert run_directory.is_whole(path)
    assert "nothing to do" in run_here("--resume", path).stdout


def test_a_directory_instead_of_results_is_no_finished_run(uninterrupted, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    (path / "results.json").unlink()
    (path / "results.json").mkdir()
    done = run_here("--resume", path)
    assert done.returncode == 1
    assert "results.json: cannot be written (Is a directory)" in one_sentence(done.stderr)


def test_another_machine_is_said_so(uninterrupted, tmp_path):
    """The same steps, but rounded as they are here: the bits differ, and the output says so."""
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(uninterrupted / checkpoint.FILE, path)
    saved = checkpoint.load(path)
    elsewhere = {"backend": "numpy", "device": "an abacus", "numpy": "1.0"}
    checkpoint.save(replace(saved, machine=elsewhere), path / checkpoint.FILE)
    done = run_here("--resume", path, "--iterations", STEPS + 2)
    assert done.returncode == 0, done.stderr
    note = next(line for line in done.stdout.splitlines() if line.startswith("rounding  "))
    assert note.endswith("; the run was begun on numpy, an abacus, 1.0")


def test_what_a_file_says_is_not_sent_to_the_terminal_as_it_is(uninterrupted, tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(uninterrupted / checkpoint.FILE, path)
    hostile = {"backend": "numpy", "device": "\x1b[2J\x07\ud800", "numpy": "1.0"}
    checkpoint.save(replace(checkpoint.load(path), machine=hostile), path / checkpoint.FILE)
    done = run_here("--resume", path, "--iterations", STEPS + 2)
    assert done.returncode == 0, done.stderr
    assert r"begun on numpy, \x1b[2J\x07\ud800, 1.0" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("backend", ["cupy:" + "9" * 5000, "cupy:1", "", "\ud800"])
def test_a_backend_that_no_run_had_is_refused(uninterrupted, tmp_path, backend):
    shutil.copy(uninterrupted / checkpoint.FILE, tmp_path)
    saved = replace(checkpoint.load(tmp_path), machine={"backend": backend})
    with pytest.raises(DataError, match="'machine'"):
        checkpoint.save(saved, tmp_path / checkpoint.FILE)


@pytest.mark.slow
def test_names_that_cannot_be_shown(options, small_set, tmp_path):
    """Bytes that are no text, and letters that the output's encoding lacks."""
    data, path = tmp_path / os.fsdecode(b"digits-\xff"), tmp_path / "é-\N{SNOWMAN}"
    shutil.copytree(small_set, data)
    ascii_only = runs.environment() | {"PYTHONIOENCODING": "ascii"}
    more = ("--data", data, "--iterations", 5, "--out", path)
    done = run(*options, *more, env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"digits-\udcff" in done.stdout
    assert r"\xe9-\u2603" in done.stdout
    assert set(contents(path)) == set(run_directory.FILES)
    assert run("--resume", path, env=ascii_only).returncode == 0


def test_paths_that_lead_nowhere(uninterrupted, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    long = "a" * 300
    for resume, out in (
        ("loop", None),
        (long, None),
        (uninterrupted, "loop"),
        (uninterrupted, long),
    ):
        done = run_here("--resume", resume, *(("--out", out) if out else ()), cwd=tmp_path)
        assert done.returncode == 1
        one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--recipe", "fast"], 2, "--recipe cannot be given with --resume"),
        (["--layers", "784-20-10"], 2, "--layers 784-20-10 cannot be given with --resume"),
        (["--seed", 9], 2, "--seed 9 cannot be given with --resume"),
        (["--checkpoint-every", "often"], 2, "--checkpoint-every must be"),
        (["--data", "other"], 1, "not the data that"),
        (["--data", "nowhere"], 1, "nowhere"),
        (["--iterations", 10], 2, "has taken 400 steps, more than the 10 now asked for"),
    ],
)
def test_what_a_run_cannot_go_on_with(
    uninterrupted, small_set, tmp_path, arguments, status, message
):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    (path / "results.json").unlink()
    before = contents(path)
    if "other" in arguments:
        shutil.copytree(small_set, tmp_path / "other")
        with open(tmp_path / "other" / "train-labels-idx1-ubyte", "r+b") as file:
            file.seek(100)
            file.write(b"\x07" if file.read(1) != b"\x07" else b"\x01")
    done = run_here("--resume", path, *arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in one_sentence(done.stderr)
    assert contents(path) == before


def test_nothing_to_resume_leaves_nothing_behind(tmp_path):
    done = run("--resume", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "nothing to resume" in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []
