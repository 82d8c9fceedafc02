"""recipes, lr-find, committee, compare and plot --deformations, in real processes."""

import json
import os

import pytest
from test_cli import run


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """Two short runs on real MNIST, trained with gentle deformations."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        done = run(
            *("train", "--recipe", "fast", "--epochs", 1, "--rotation", 5, "--seed", seed),
            *("--validation", 1000, "--out", folder / str(seed)),
        )
        assert done.returncode == 0, done.stderr
    return folder / "1", folder / "2"


def test_recipes_lists_them():
    printed = run("recipes").stdout
    for name in ("classic", "fast", "accurate", "long", "strong", "record"):
        assert f"\n{name} " in "\n" + printed
    assert "%" in printed


def test_lr_find_suggests_and_draws(tmp_path):
    picture = tmp_path / "rates.png"
    done = run("lr-find", "--recipe", "fast", "--steps", 60, "--out", picture)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("suggested --alpha 0.0")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_committee_is_saved_evaluated_and_accepted_by_the_other_commands(two_runs, tmp_path):
    out = tmp_path / "together"
    done = run("committee", *two_runs, "--out", out, "--maps", 2)
    assert done.returncode == 0, done.stderr
    accuracy = next(line for line in done.stdout.splitlines() if line.startswith("accuracy"))
    assert run("evaluate", out).stdout.splitlines()[1] == accuracy
    again = run("committee", *two_runs, "--out", out)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_compare_two_runs(two_runs):
    done = run("compare", *two_runs)
    assert done.returncode == 0, done.stderr
    assert "McNemar's exact test: p = " in done.stdout
    assert done.stdout.count("95% interval") == 2


def test_a_run_compared_with_itself_is_no_better(two_runs):
    printed = run("compare", two_runs[0], two_runs[0]).stdout
    assert "p = 1; no difference beyond chance" in printed


def test_named_deformations_with_one_changed(tmp_path):
    done = run(
        *("train", "--recipe", "fast", "--epochs", 1, "--deform", "ciresan", "--rotation", 5),
        *("--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert (saved["rotation"], saved["rotation_1_7"], saved["elastic_sigma"]) == (5, 7.5, 5.5)


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
        (["train", "--hidden-dropout", "1"], 2, "--hidden-dropout must be a number from 0"),
        (["train", "--elastic", "-1"], 2, "--elastic must be"),
        (["train", "--warmup", "1.5"], 2, "--warmup must be"),
        (["lr-find", "--recipe", "quick"], 2, "--recipe must be one of"),
        (["lr-find", "--steps", "1"], 2, "--steps"),
        (["committee", "nowhere", "--out", "x"], 1, "nowhere"),
        (["compare", "nowhere", "neither"], 1, "nowhere"),
    ],
)
def test_refusals(tmp_path, arguments, status, message):
    done = run(*arguments, cwd=tmp_path, PYTHONPATH=os.getcwd())
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_averaging_runs_without_deformations_is_refused(tmp_path):
    plain = tmp_path / "plain"
    run("train", "--iterations", 2, "--out", plain)
    done = run("committee", plain, "--out", tmp_path / "together", "--maps", 3)
    assert done.returncode == 2
    assert "--maps needs models trained with deformations" in done.stderr
    assert not (tmp_path / "together").exists()
