"""What may befall a run: signals, a second writer, a full disk, a lost directory, a closed pipe.

Real processes on real digits; whatever happens, what was good stays good.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers import runs
from helpers.runs import one_sentence, run, start, wait_for

from mnistgpu.errors import DataError, RunError
from mnistgpu.models import model
from mnistgpu.runs import checkpoint, run_directory, watching
from mnistgpu.runs.signals import Stop, heard
from mnistgpu.storage.lock import only_writer

LONG = 1_000_000  # iterations, which no test waits for
STEPS = 400


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    return runs.write_small_set(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def options(small_set):
    """A run with much to lose: noise, momentum, mini-batches."""
    return (
        *("--data", small_set, "--layers", "784-16-10", "--batch-size", 64, "--validation", 100),
        *("--optimizer", "momentum", "--alpha", 0.02, "--hidden-dropout", 0.2),
    )


@pytest.fixture(scope="session")
def uninterrupted(options, tmp_path_factory):
    """The model that the run of STEPS iterations ends with."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    done = run(*options, "--iterations", STEPS, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def begun(path, *options, **more):
    """A process that has trained for a while and saves after every step."""
    process = start(*options, "--out", path, "--checkpoint-every", "0s", **more)
    wait_for((path / checkpoint.FILE).exists, process)
    return process


def ended(process):
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextlib.contextmanager
def mounted(path, kilobytes):
    """A small filesystem of its own at path, where this machine lets us have one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"no filesystem may be mounted here ({done.stderr.strip()})")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


# Signals


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(options, uninterrupted, tmp_path, number, status):
    path = tmp_path / "run"
    process = begun(path, *options, "--iterations", STEPS)
    process.send_signal(number)
    returned, errors = ended(process)
    assert returned == status, errors
    sentence = one_sentence(errors)
    assert f"go on with: mnistgpu train --resume {path}" in sentence
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    saved = checkpoint.load(path)
    assert sentence.startswith(f"stopped by {name} after iteration {saved.taken} of {STEPS}")
    assert set(contents(path)) == {"settings.json", checkpoint.FILE}

    done = run("--resume", path)
    assert done.returncode == 0, done.stderr
    assert f"resumed   {path}, after iteration {saved.taken}" in done.stdout
    for name in ("model.safetensors", "settings.json"):
        assert (path / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    ours, theirs = (run_directory.read_history(p / "history.csv") for p in (path, uninterrupted))
    assert ours.pop("seconds") != theirs.pop("seconds")
    assert ours == theirs


def test_a_second_signal_leaves_at_once(tmp_path):
    """In the middle of a step that takes many seconds."""
    path = tmp_path / "run"
    process = start("--layers", "784-3000-3000-10", "--iterations", LONG, "--out", path)
    wait_for((path / "settings.json").exists, process)
    time.sleep(0.5)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    returned, errors = ended(process)
    assert (returned, errors) == (130, "")
    assert time.monotonic() - asked < 5
    assert not (path / checkpoint.FILE).exists()


def test_ignored_signals_stay_ignored():
    """nohup, or a shell's background job."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with heard(Stop()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, old)


# One writer, and what it may replace


def test_a_second_writer_is_refused_and_a_killed_one_forgotten(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    first = begun(path, *options, "--iterations", LONG)
    for arguments in (["--out", path, "--force"], ["--resume", path]):
        second = run(*(options if "--out" in arguments else ()), *arguments)
        assert second.returncode == 1
        assert f"another run (process {first.pid} on " in one_sentence(second.stderr)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL
    assert (path / ".lock").exists()  # and locks nothing
    for name in (checkpoint.FILE, watching.FILE):
        (path / f".{name}.k1lled").write_bytes(b"half of it")
    done = run("--resume", path, "--iterations", checkpoint.load(path).taken + 20)
    assert done.returncode == 0, done.stderr
    assert set(contents(path)) == set(run_directory.FILES)


def test_the_lock_is_the_file_that_is_there(tmp_path):
    with only_writer(tmp_path):
        held = (tmp_path / ".lock").read_text()
        assert held.startswith(f"process {os.getpid()} on ")
        (tmp_path / ".lock").unlink()
        with only_writer(tmp_path):  # a new file: the old lock is nobody's business any more
            assert (tmp_path / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match="cannot be written"), only_writer(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "loop", "pipe", "device"])
def test_a_lock_that_is_another_file_is_left_alone(tmp_path, kind):
    """Whoever hands a run directory to others must not have a file of theirs overwritten."""
    path, other = tmp_path / "run", tmp_path / "other"
    path.mkdir()
    if kind != "dangling link":
        other.write_text("precious")
    lock = path / ".lock"
    make = {
        "hard link": lambda: lock.hardlink_to(other),
        "loop": lambda: lock.symlink_to(".lock"),
        "pipe": lambda: os.mkfifo(lock),
        "device": lambda: lock.symlink_to("/dev/null"),
    }
    make.get(kind, lambda: lock.symlink_to(other))()
    refused = pytest.raises(RunError, match=r"\.lock: is not the plain file that mnistgpu makes")
    with refused, only_writer(path):
        pass
    assert not other.exists() if kind == "dangling link" else other.read_text() == "precious"
    assert os.path.lexists(lock)


def test_an_unfinished_run_is_kept_unless_forced(options, tmp_path):
    path = tmp_path / "run"
    process = begun(path, *options, "--iterations", LONG)
    process.terminate()
    assert ended(process)[0] == 143
    before = contents(path)
    done = run(*options, "--iterations", 5, "--out", path)
    assert done.returncode == 2
    assert f"an unfinished run is there; go on with --resume {path}" in one_sentence(done.stderr)
    assert contents(path) == before
    assert run(*options, "--iterations", 5, "--out", path, "--force").returncode == 0
    assert set(contents(path)) == set(run_directory.FILES)


def test_force_keeps_the_old_run_until_the_new_one_is_finished(
    options, uninterrupted, tmp_path, small_set
):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    del before[checkpoint.FILE]
    process = start(
        *(*options, "--iterations", LONG, "--seed", 5, "--out", path, "--force"),
        *("--checkpoint-every", "0s"),
    )
    wait_for(lambda: checkpoint.load(path).settings.seed == 5, process)
    process.kill()
    ended(process)
    assert {name: content for name, content in contents(path).items() if name in before} == before
    done = run("--resume", path, "--iterations", checkpoint.load(path).taken + 10)
    assert done.returncode == 0, done.stderr
    after = contents(path)
    assert set(after) == set(run_directory.FILES)
    assert all(after[name] != before[name] for name in before)
    assert model.load(path).settings["seed"] == 5


def test_a_run_that_diverges_keeps_the_old_one(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    done = run(*options, "--alpha", 1e30, "--out", path, "--force")
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert sentence.startswith("error: training diverged: the loss is ")
    assert "try --alpha 0.1 instead of 1e+30" in sentence
    assert "no checkpoint of this run was written yet" in sentence
    assert contents(path) == before


def test_a_run_that_diverges_late_keeps_its_last_good_checkpoint(options, tmp_path):
    """The steps before the loss is looked at are saved each, until one is no longer finite."""
    path = tmp_path / "run"
    done = run(
        *options,
        *("--alpha", 1e4, "--warmup", 0.99, "--iterations", 2000, "--activation", "leaky-relu"),
        *("--out", path, "--checkpoint-every", "0s", "--quiet"),
    )
    assert done.returncode == 1
    saved = checkpoint.load(path)
    sentence = one_sentence(done.stderr)
    assert "diverged" in sentence
    assert f"keeps the run as it was after iteration {saved.taken:,}" in sentence
    assert np.isfinite(saved.vectors["theta"]).all()


# Going on


def test_finished_is_finished(uninterrupted, tmp_path, options):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    done = run("--resume", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished, after iteration 400; nothing to do" in done.stdout
    done = run("--resume", path, "--iterations", STEPS + 50)
    assert done.returncode == 2
    assert "give --out another directory" in one_sentence(done.stderr)
    assert contents(path) == before

    longer = tmp_path / "longer"
    done = run("--resume", path, "--iterations", STEPS + 50, "--out", longer)
    assert done.returncode == 0, done.stderr
    assert contents(path) == before
    assert run(*options, "--iterations", STEPS + 50, "--out", tmp_path / "new").returncode == 0
    name = "model.safetensors"
    assert (longer / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    done = run("--resume", path, "--iterations", STEPS + 50, "--force")
    assert done.returncode == 0, done.stderr
    assert (path / name).read_bytes() == (longer / name).read_bytes()


def test_a_kill_between_the_last_step_and_the_last_file(uninterrupted, tmp_path):
    """Each state in which the files of a finished run may be left is finished by --resume."""
    whole = contents(uninterrupted)
    order = ("model.safetensors", "history.csv", "settings.json", "results.json", "report.png")
    for written in range(len(order)):
        path = tmp_path / str(written)
        path.mkdir()
        for name in (checkpoint.FILE, *order[:written]):
            (path / name).write_bytes(whole[name])
        done = run("--resume", path)
        assert done.returncode == 0, done.stderr
        after = contents(path)
        assert set(after) == set(run_directory.FILES)
        for name in ("model.safetensors", "history.csv", "settings.json"):
            assert after[name] == whole[name], name


@pytest.mark.parametrize("name", ["results.json", "settings.json"])
def test_a_damaged_sign_of_a_finished_run_is_none(uninterrupted, tmp_path, name):
    """The run is there, whole, in its checkpoint: what says that it is finished is written anew."""
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    (path / name).write_bytes((path / name).read_bytes()[:-20])
    done = run("--resume", path)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" not in done.stdout
    for whole in ("model.safetensors", "settings.json"):
        assert (path / whole).read_bytes() == (uninterrupted / whole).read_bytes()
    assert run_directory.is_whole(path)
    assert "nothing to do" in run("--resume", path).stdout


def test_a_directory_instead_of_results_is_no_finished_run(uninterrupted, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    (path / "results.json").unlink()
    (path / "results.json").mkdir()
    done = run("--resume", path)
    assert done.returncode == 1
    assert "results.json: cannot be written (Is a directory)" in one_sentence(done.stderr)


def test_another_machine_is_said_so(uninterrupted, tmp_path):
    """The same steps, rounded as they are here: not the same bits, and nobody should think so."""
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(uninterrupted / checkpoint.FILE, path)
    saved = checkpoint.load(path)
    elsewhere = {"backend": "numpy", "device": "an abacus", "numpy": "1.0"}
    checkpoint.save(replace(saved, machine=elsewhere), path / checkpoint.FILE)
    done = run("--resume", path, "--iterations", STEPS + 2)
    assert done.returncode == 0, done.stderr
    note = next(line for line in done.stdout.splitlines() if line.startswith("rounding  "))
    assert note.endswith("; the run was begun on numpy, an abacus, 1.0")


def test_what_a_file_says_is_not_sent_to_the_terminal_as_it_is(uninterrupted, tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(uninterrupted / checkpoint.FILE, path)
    hostile = {"backend": "numpy", "device": "\x1b[2J\x07\ud800", "numpy": "1.0"}
    checkpoint.save(replace(checkpoint.load(path), machine=hostile), path / checkpoint.FILE)
    done = run("--resume", path, "--iterations", STEPS + 2)
    assert done.returncode == 0, done.stderr
    assert r"begun on numpy, \x1b[2J\x07\ud800, 1.0" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("backend", ["cupy:" + "9" * 5000, "cupy:1", "", "\ud800"])
def test_a_backend_that_no_run_had_is_refused(uninterrupted, tmp_path, backend):
    shutil.copy(uninterrupted / checkpoint.FILE, tmp_path)
    saved = replace(checkpoint.load(tmp_path), machine={"backend": backend})
    with pytest.raises(DataError, match="'machine'"):
        checkpoint.save(saved, tmp_path / checkpoint.FILE)


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
        done = run("--resume", resume, *(("--out", out) if out else ()), cwd=tmp_path)
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
    done = run("--resume", path, *arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in one_sentence(done.stderr)
    assert contents(path) == before


def test_nothing_to_resume_leaves_nothing_behind(tmp_path):
    done = run("--resume", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "nothing to resume" in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


# Storage


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


def test_a_limit_on_file_sizes(options, tmp_path):
    """As a full disk, where nothing can be mounted: history and checkpoint outgrow the limit."""
    path = tmp_path / "run"
    bytes_allowed = 4 * 12730 * 2 + 4_000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_allowed, bytes_allowed))

    process = begun(path, *options, "--iterations", LONG, preexec_fn=limit)
    assert "File too large" in check_full(path, process)


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


def test_an_output_that_nobody_reads(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*options, "--iterations", STEPS, "--out", path, stdout=writing)
    os.close(writing)
    returned, errors = ended(process)
    assert returned == 1
    sentence = one_sentence(errors)
    assert sentence.startswith(
        "stopped by its output, which cannot be written (Broken pipe), after"
    )
    done = run("--resume", path)
    assert done.returncode == 0, done.stderr
    name = "model.safetensors"
    assert (path / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_an_output_that_is_closed_from_the_start(options, uninterrupted, tmp_path):
    """>&- of a shell: there is no standard output at all."""
    path = tmp_path / "run"
    arguments = runs.command(*options, "--iterations", STEPS, "--out", path)
    shell = ["sh", "-c", 'exec "$@" >&-', "sh"]
    done = subprocess.run(
        [*shell, *arguments], env=runs.environment(), stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert sentence.startswith("stopped by its output, which cannot be written (Bad file descrip")
    assert checkpoint.load(path).taken >= 1
    quiet = subprocess.run(
        [*shell, *runs.command("--resume", path, "--quiet")],
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert (quiet.returncode, quiet.stderr) == (0, "")
    name = "model.safetensors"
    assert (path / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_an_output_on_a_full_disk(options, tmp_path):
    with open("/dev/full", "w") as full:
        process = start(*options, "--iterations", STEPS, "--out", tmp_path / "run", stdout=full)
        returned, errors = ended(process)
    assert returned == 1
    assert "No space left on device" in one_sentence(errors)
    assert checkpoint.load(tmp_path / "run").taken >= 1
