"""recipes, lr-find, committee, compare and plot --deformations, in real processes."""

import json
import shutil

import pytest
from helpers.command import run, run_here

from mnistgpu.maths import augment


@pytest.fixture(scope="module")
def small(small_set):
    """The data of most of these runs: a tenth of a second to read, where MNIST takes a half."""
    return "--data", small_set


@pytest.fixture(scope="module")
def two_runs(small, tmp_path_factory):
    """Two short runs, trained with gentle deformations."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        done = run_here(
            *("train", "--recipe", "fast", "--epochs", 1, "--rotation", 5, "--seed", seed),
            *(*small, "--validation", 100, "--out", folder / str(seed)),
        )
        assert done.returncode == 0, done.stderr
    return folder / "1", folder / "2"


def test_recipes_lists_them():
    printed = run("recipes").stdout
    names = ("classic", "fast", "accurate", "long", "pure", "few", "strong", "clothes", "record")
    for name in names:
        assert f"\n{name} " in "\n" + printed
    assert "%" in printed


@pytest.mark.slow
def test_lr_find_suggests_and_draws(tmp_path):
    picture = tmp_path / "rates.png"
    done = run("lr-find", "--recipe", "fast", "--steps", 60, "--out", picture)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("suggested --alpha 0.0")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    before = picture.read_bytes()
    again = run("lr-find", "--recipe", "fast", "--out", picture)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert picture.read_bytes() == before


def test_lr_find_says_so_where_no_rate_can_be_suggested(tmp_path):
    deep = "784-" + "100-" * 60 + "10"
    done = run_here("lr-find", "--layers", deep, "--batch-size", 100, "--out", tmp_path / "x.png")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the loss ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_committee_and_a_run_never_share_a_directory(two_runs, small, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert run_here("committee", *two_runs, *small, "--out", together).returncode == 0
    shutil.copytree(two_runs[0], alone)
    for arguments, where in (
        (["committee", *two_runs, "--force", "--out", alone], alone),
        (["train", "--iterations", 1, "--force", "--out", together], together),
    ):
        before = {path.name: path.read_bytes() for path in where.iterdir()}
        done = run_here(*arguments)
        assert done.returncode == 2
        assert " is there; choose another" in done.stderr
        assert {path.name: path.read_bytes() for path in where.iterdir()} == before


def test_a_smaller_committee_leaves_no_member_of_the_old_one(two_runs, small, tmp_path):
    out = tmp_path / "together"
    assert run_here("committee", *two_runs, two_runs[0], *small, "--out", out).returncode == 0
    assert run_here("committee", *two_runs, *small, "--force", "--out", out).returncode == 0
    members = json.loads((out / "committee.json").read_text())["members"]
    assert {path.name for path in out.iterdir()} == {"committee.json", *members}
    assert len(members) == 2


def test_the_shipped_model_is_accepted_wherever_a_run_is(two_runs, small, tmp_path):
    done = run_here("compare", "shipped", two_runs[0], *small)
    assert done.returncode == 0, done.stderr
    assert "shipped is better" in done.stdout
    done = run_here("committee", "shipped", two_runs[0], *small, "--out", tmp_path / "together")
    assert done.returncode == 0, done.stderr
    done = run_here("committee", tmp_path / "together", two_runs[0], "--out", tmp_path / "nested")
    assert done.returncode == 2
    assert "a committee cannot join another" in done.stderr


@pytest.mark.slow
def test_committee_is_saved_evaluated_and_accepted_by_the_other_commands(two_runs, small, tmp_path):
    out = tmp_path / "together"
    done = run("committee", *two_runs, *small, "--out", out, "--maps", 2)
    assert done.returncode == 0, done.stderr
    accuracy = next(line for line in done.stdout.splitlines() if line.startswith("accuracy"))
    assert run("evaluate", out, *small).stdout.splitlines()[1] == accuracy
    again = run("committee", *two_runs, "--out", out)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_compare_two_runs(two_runs):
    done = run("compare", *two_runs)
    assert done.returncode == 0, done.stderr
    assert "McNemar's exact test: p = " in done.stdout
    assert done.stdout.count("95% interval") == 2


def test_a_run_compared_with_itself_is_no_better(two_runs, small):
    printed = run_here("compare", two_runs[0], two_runs[0], *small).stdout
    assert "p = 1; no difference beyond chance" in printed


def test_named_deformations_with_one_changed(small, tmp_path):
    done = run_here(
        *(
            "train",
            *small,
            "--validation",
            100,
            "--recipe",
            "fast",
            "--epochs",
            1,
            "--deform",
            "ciresan",
            "--rotation",
            5,
        ),
        *("--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert (saved["rotation"], saved["rotation_1_7"], saved["elastic_sigma"]) == (5, 7.5, 5.5)


def test_a_preset_replaces_another_whole():
    strong, ciresan = augment.preset("strong"), augment.preset("ciresan")
    assert set(strong) == set(ciresan) >= {"shear", "shift", "elastic", "rotation_1_7"}


def test_plot_deformations(two_runs, tmp_path):
    picture = tmp_path / "deformed.png"
    done = run("plot", two_runs[0], "--deformations", "--out", picture)
    assert done.returncode == 0, done.stderr
    assert picture.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--recipe", "stong"], 2, "did you mean strong?"),
        (["train", "--deform", "ciresa"], 2, "did you mean ciresan?"),
        (["train", "--optimizer", "adm"], 2, "did you mean adam?"),
        (
            ["train", "--hidden-dropout", "1"],
            2,
            "--hidden-dropout must be a finite number of at least 0",
        ),
        (["train", "--elastic", "-1"], 2, "--elastic must be"),
        (["train", "--warmup", "1.5"], 2, "--warmup must be"),
        (["train", "--weight-decay", "200"], 2, "must be less than 1"),
        (["lr-find", "--recipe", "quick"], 2, "--recipe must be one of"),
        (["lr-find", "--steps", "1"], 2, "--steps"),
        (["committee", "nowhere", "--out", "x"], 1, "nowhere"),
        (["lr-find", "--dropout", "1"], 2, "No such option: --dropout"),
        (["compare", "nowhere", "neither"], 1, "nowhere"),
    ],
)
def test_refusals(tmp_path, arguments, status, message):
    done = run_here(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_averaging_runs_without_deformations_is_refused(small, tmp_path):
    plain = tmp_path / "plain"
    run_here("train", *small, "--validation", 100, "--iterations", 2, "--out", plain)
    done = run_here("committee", plain, "--out", tmp_path / "together", "--maps", 3)
    assert done.returncode == 2
    assert "--maps needs models trained with deformations" in done.stderr
    assert not (tmp_path / "together").exists()
