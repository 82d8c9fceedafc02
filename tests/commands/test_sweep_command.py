"""`mnistgpu sweep`: lists as flags, a table that grows, Ctrl-C and going on, refusals."""

import signal
import sys

import pytest
from helpers import processes, runs
from helpers.command import run, run_here
from helpers.terminal import frames

import mnistgpu
from mnistgpu.commands.sweeping import values_of
from mnistgpu.runs import checkpoint, run_directory

LISTS = ("--layers", "784-8-10,784-10", "--alpha", "0.1, 0.3", "--validation", 100)


def table(printed):
    """The cells of each line of a table; its last cell may have blanks."""
    return [line.split(maxsplit=5) for line in printed.splitlines()]


@pytest.mark.slow
def test_a_line_for_each_run_and_none_is_trained_again(small_set, tmp_path):
    out = tmp_path / "s"
    arguments = ("sweep", "--data", small_set, *LISTS, "--iterations", 3, "--out", out)
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines, last = table(done.stdout)
    assert header == ["layers", "alpha", "validation", "test", "seconds", "state"]
    assert [line[:2] for line in lines] == [
        ["784-8-10", "0.1"],
        ["784-8-10", "0.3"],
        ["784-10", "0.1"],
        ["784-10", "0.3"],
    ]
    assert {line[5] for line in lines} == {"finished"}
    assert " ".join(last).startswith(f"all of 4 runs; `mnistgpu runs {out}`")
    again = run_here(*arguments)
    assert again.returncode == 0
    assert again.stdout == done.stdout.replace("  finished\n", "  finished before\n")
    listed = run_here("runs", out)
    assert listed.stdout.splitlines()[0].split()[:3] == ["run", "layers", "alpha"]
    assert listed.stdout.count("finished") == 4


def test_a_run_that_diverges_has_a_line_and_the_next_ones_are_trained(small_set, tmp_path):
    done = run_here(
        *("sweep", "--data", small_set, "--alpha", "1e30,0.1", "--batch-norm", "yes,no"),
        *("--validation", 100, "--batch-size", "none", "--iterations", 3, "--out", tmp_path / "s"),
    )
    assert done.returncode == 1
    rows = [line.split()[:2] + line.split()[-1:] for line in done.stdout.splitlines()[1:-1]]
    assert rows == [
        ["yes", "1e+30", "failed"],
        ["yes", "0.1", "finished"],
        ["no", "1e+30", "failed"],
        ["no", "0.1", "finished"],
    ]
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert all("training diverged" in line for line in errors)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_on_a_terminal_the_bar_of_the_current_run_makes_room_for_its_line(small_set, tmp_path):
    shown = frames(
        60,
        *("mnistgpu.cli", "sweep", "--data", small_set, "--seed", "0,1", "--validation", 100),
        *("--iterations", 20, "--out", tmp_path / "s"),
        moves="A",  # up, in order to remove a bar
    )
    bars = [i for i, line in enumerate(shown) if "/20" in line]
    lines = [i for i, line in enumerate(shown) if line.endswith("finished")]
    assert len(lines) == 2
    assert bars[0] < lines[0] < bars[-1] < lines[1]
    assert all(len(line) <= 60 for line in shown[:-2])
    assert not any(line.startswith(("mnistgpu ", "saved in", "backend")) for line in shown)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
def test_ctrl_c_saves_the_current_run_and_the_same_command_goes_on(small_set, tmp_path):
    out = tmp_path / "s"
    arguments = [
        *("sweep", "--data", str(small_set), "--seed", "0,1", "--validation", "100"),
        *("--batch-size", "20", "--checkpoint-every", "0s", "--out", str(out)),
    ]
    long = [*arguments, "--iterations", str(runs.LONG)]
    command = [sys.executable, "-m", "mnistgpu.cli", *long]
    process = processes.start(command, env=runs.environment())
    first = out / "seed-0"
    runs.wait_for((first / checkpoint.FILE).exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    sentence = runs.one_sentence(errors)
    taken = checkpoint.load(first).taken
    assert sentence.startswith(
        f"run 1 of 2, {first}: stopped by Ctrl-C after iteration {taken:,} of {runs.LONG:,}; "
    )
    assert sentence.endswith(f"go on with: mnistgpu {' '.join(long)}")
    refused = run_here(*arguments, "--iterations", 3)
    assert refused.returncode == 2
    assert f"{first}: a run with other settings or data is there" in refused.stderr
    assert not (out / "seed-1").exists()


@pytest.mark.slow
def test_what_was_stopped_is_resumed_by_the_same_command(small_set, tmp_path):
    out = tmp_path / "s"
    options = ("--data", small_set, "--validation", 100, "--batch-size", 20, "--iterations", 300)
    whole = tmp_path / "whole"
    assert runs.run(*options, "--seed", 0, "--out", whole).returncode == 0
    process = runs.begun(out / "seed-0", *options, "--seed", 0)
    process.kill()
    process.communicate()
    assert not run_directory.is_whole(out / "seed-0")
    done = run_here("sweep", *options, "--seed", "1,0", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    name = "model.safetensors"
    assert (out / "seed-0" / name).read_bytes() == (whole / name).read_bytes()


def test_a_comma_between_weights_of_classes_is_part_of_their_list():
    for text, values in (
        ("none,balanced", ["none", "balanced"]),
        ("0:1,7:2.5", ["0:1,7:2.5"]),  # as for mnistgpu train
        ("none,0:1, 7:2.5,balanced,3:2", ["none", "0:1, 7:2.5", "balanced", "3:2"]),
    ):
        assert values_of("class_weight", text) == values
    with pytest.raises(mnistgpu.UsageError, match="--class-weight must be a list"):
        values_of("class_weight", "0:1,,7:2")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--seed", "0"], 2, "needs a setting with several values, such as --alpha 0.1,0.5"),
        (["--alpha", "0.1,high"], 2, "--alpha must be a list of numbers with commas between them"),
        (["--seed", "0,1.5"], 2, "--seed must be a list of whole numbers"),
        (["--seed", "0,,1"], 2, "--seed must be a list of whole numbers"),
        (["--seed", "0,none"], 2, "--seed must be a list of whole numbers"),
        (["--layers", "784-10,"], 2, "--layers must be a list of names"),
        (["--center", "yes,perhaps"], 2, "--center must be a list of yes and no"),
        (["--optimizer", "adam,adan"], 2, "did you mean adam?"),
        (["--seed", "0,1,0"], 2, "seed: the value 0 is given twice"),
        (["--seed", ",".join(map(str, range(1001)))], 2, "make 1,001 runs; add --yes"),
        (["--seed", "0,1", "--data", "nowhere"], 1, "nowhere"),
        (["--seed", "0,1", "--recipe", "fats"], 2, "did you mean fast?"),
        (["--sead", "0,1"], 2, "No such option: --sead"),
    ],
)
def test_refusals_are_one_sentence(tmp_path, arguments, status, message):
    done = run_here("sweep", "--out", "s", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in runs.one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_needs_a_directory():
    done = run_here("sweep", "--seed", "0,1")
    assert done.returncode == 2
    assert "--out" in runs.one_sentence(done.stderr)
