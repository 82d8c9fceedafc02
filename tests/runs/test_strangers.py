"""No file that mnistgpu did not write is replaced, whatever its name is."""

import shutil

import pytest
from helpers.command import run_here
from helpers.runs import contents, one_sentence

import mnistgpu
from mnistgpu.errors import UsageError
from mnistgpu.runs import run_directory, watching

STRANGERS = {
    "settings.json": b'{"editor.fontSize": 12}',
    "history.csv": b"date,price\n2024-01-01,7\n",
    "results.json": b'{"score": 7}',
    "report.png": b"\x89PNG\r\n\x1a\n of a holiday",
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
    "checkpoint.safetensors": b"of another program",
    watching.FILE: b"mine",
}


@pytest.fixture(scope="module")
def finished(small_set, tmp_path_factory):
    """A finished run with everything that commands draw in its directory."""
    path = tmp_path_factory.mktemp("finished") / "run"
    short = "--layers", "784-8-10", "--iterations", 3, "--snapshots", "--shift", 1
    done = run_here("train", "--data", small_set, *short, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("more", [[], ["--force"]], ids=["", "force"])
def test_a_run_replaces_no_file_of_others(small_set, tmp_path, name, more):
    (tmp_path / name).write_bytes(STRANGERS[name])
    short = "--layers", "784-8-10", "--iterations", 1
    done = run_here("train", "--data", small_set, *short, "--out", tmp_path, *more)
    assert (done.returncode, done.stdout) != (0, "")
    assert done.returncode == 2
    assert f"{tmp_path / name}: is not a file that mnistgpu wrote" in one_sentence(done.stderr)
    assert contents(tmp_path) == {name: STRANGERS[name]}


@pytest.mark.parametrize("name", run_directory.MARKS)
def test_the_files_of_a_run_are_known_and_replaced(finished, name):
    """Each of them by its mark, so that --force still replaces an older run."""
    run_directory.check_own(finished)
    assert name in contents(finished)


def test_files_of_an_old_version_are_known(tmp_path):
    from helpers.mnist import ROOT

    for name in ("finished", "interrupted"):
        old = ROOT / "tests" / "old_files" / "0.1.0" / name
        run_directory.check_own(old)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("report.png", ()),
        ("deformations.png", ("--deformations",)),
        ("training.gif", ("--animate",)),
    ],
)
def test_plot_replaces_its_own_picture_alone(finished, tmp_path, name, arguments):
    """Also without --out, and a GIF by a comment in it: others make GIFs too."""
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    for _ in range(2):
        done = run_here("plot", path, *arguments)
        assert (done.returncode, done.stdout) == (0, f"{path / name}\n"), done.stderr
    strange = (path / name).read_bytes()
    for mark in (b"Software\0mnistgpu", b"\x08mnistgpu"):
        strange = strange.replace(mark, b"X" * len(mark))
    (path / name).write_bytes(strange)
    done = run_here("plot", path, *arguments)
    assert done.returncode == 2
    assert "the file exists and is not one this program made" in one_sentence(done.stderr)
    assert (path / name).read_bytes() == strange


def test_force_replaces_what_is_of_the_same_kind_alone(finished, tmp_path):
    """--force is for an older result, and not for a photograph of the same name."""
    rates, model = tmp_path / "rates.png", tmp_path / "mine.safetensors"
    for path in (rates, model):
        path.write_bytes(b"dear to me")
    done = run_here("lr-find", "--recipe", "fast", "--steps", 10, "--out", rates, "--force")
    assert done.returncode == 2
    assert "is not one this program made" in one_sentence(done.stderr)
    with pytest.raises(UsageError, match="is not one this program made"):
        mnistgpu.save(mnistgpu.load("shipped"), model, force=True)
    assert (rates.read_bytes(), model.read_bytes()) == (b"dear to me", b"dear to me")
    model.unlink()
    for force in (False, True):
        mnistgpu.save(mnistgpu.load("shipped"), model, force=force)


def test_a_committee_removes_its_old_members_alone(finished, small_set, tmp_path):
    out = tmp_path / "together"
    arguments = "committee", finished, "shipped", "--data", small_set, "--out", out
    assert run_here(*arguments).returncode == 0
    (out / "member-list.safetensors").write_bytes(b"mine")
    done = run_here("committee", finished, "--data", small_set, "--out", out, "--force")
    assert done.returncode == 0, done.stderr
    assert (out / "member-list.safetensors").read_bytes() == b"mine"
    assert len(list(out.iterdir())) == 3
    (out / "committee.json").write_text('{"chair": "me"}')
    done = run_here(*arguments, "--force")
    assert done.returncode == 2
    assert "is not one this program made" in one_sentence(done.stderr)
    assert (out / "committee.json").read_text() == '{"chair": "me"}'
