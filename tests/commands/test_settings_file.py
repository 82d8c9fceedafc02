"""--settings FILE: what is trained, which flags won, and what is wrong in which line."""

import json

import pytest
from helpers import runs
from helpers.command import run_here as run

from mnistgpu.commands.settings_file import merged, read
from mnistgpu.errors import DataError, UsageError
from mnistgpu.settings import Settings

RUN = {"settings": Settings(epochs=3, alpha=0.2).as_dict(), "data": "x", "data_digest": "0" * 64}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


@pytest.mark.slow
def test_the_settings_of_a_run_train_the_same_network(tmp_path):
    data = runs.write_small_set(tmp_path)
    first, second, third = (tmp_path / name for name in "abc")
    options = (
        "--data",
        data,
        "--layers",
        "784-12-10",
        "--validation",
        100,
        "--batch-size",
        50,
        "--alpha",
        0.2,
    )
    assert runs.run_here(*options, "--epochs", 1, "--out", first).returncode == 0
    file = first / "settings.json"
    again = runs.run_here("--data", data, "--settings", file, "--out", second)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines()[0] == f"settings  {file}"
    name = "model.safetensors"
    assert (second / name).read_bytes() == (first / name).read_bytes()
    changed = runs.run_here(
        *("--data", data, "--settings", file, "--iterations", 3, "--alpha", "0.25"),
        *("--out", third),
    )
    assert changed.returncode == 0, changed.stderr
    line = changed.stdout.splitlines()[0]
    assert line == (
        f"settings  {file}; flags win: --alpha 0.25 instead of --alpha 0.2, "
        "--iterations 3 instead of --epochs 1"
    )
    saved = json.loads((third / "settings.json").read_text())["settings"]
    assert (saved["iterations"], saved["epochs"], saved["learning_rate"]) == (3, None, 0.25)
    assert (saved["layers"], saved["batch_size"]) == ("784-12-10", 50)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", 'alpha = 0.1\nlayers = [784, 64, 10]\ncenter = true\noptimizer = "adam"\n'),
        ("a.toml", '[settings]\nlr = 0.1\nlayers = "784-64-10"\ncenter=true\noptimizer="adam"\n'),
        (
            "a.json",
            {"learning-rate": 0.1, "layers": "784-64-10", "center": True, "optimizer": "adam"},
        ),
    ],
)
def test_forms_of_a_file(tmp_path, name, content):
    if "learning-rate" in content:
        content = {key.replace("-", "_"): value for key, value in content.items()}
    expected = {
        "learning_rate": 0.1,
        "layers": "784-64-10",
        "center": True,
        "optimizer": "adam",
    }
    assert read(written(tmp_path, name, content)) == expected


def test_a_file_may_need_what_a_recipe_or_a_flag_gives(tmp_path):
    path = written(tmp_path, "a.toml", "denoising = 1000.0\nfreeze = 1\nmomentum = 0.5\n")
    assert read(path) == {"denoising": 1000.0, "freeze": 1, "momentum": 0.5}


def test_flags_and_named_deformations_win_over_the_file(tmp_path):
    path = written(tmp_path, "a.toml", "epochs = 4\nrotation = 3\nalpha = 0.1\nseed = 5\n")
    changes, line = merged(path, "strong", {"iterations": 9, "learning_rate": 0.1})
    assert changes["iterations"] == 9
    assert "epochs" not in changes
    assert (changes["seed"], changes["learning_rate"]) == (5, 0.1)
    assert changes["rotation"] != 3
    assert line == (
        f"settings  {path}; flags win: --rotation {changes['rotation']} instead of --rotation 3, "
        "--iterations 9 instead of --epochs 4"
    )


def test_a_whole_settings_json_is_read_back(tmp_path):
    values = read(written(tmp_path, "settings.json", RUN))
    assert Settings().changed(**values) == Settings(epochs=3, alpha=0.2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "seed = 1\nalhpa = 0.1\n", ", line 2: there is no setting 'alhpa'; did you "),
        ("a.toml", "seed = 1\n\n'seeed' = 2", ", line 3: there is no setting 'seeed'; did you "),
        ("a.toml", 'seed = 1\nalpha = "high"\n', ", line 2: --alpha must be float, not 'high'"),
        ("a.toml", "seed = true", ", line 1: --seed must be int, not True"),
        ("a.toml", "alpha = nan", ", line 1: --alpha must be a finite number"),
        ("a.toml", 'optimizer = "adan"', ", line 1: --optimizer must be one of "),
        ("a.toml", "seed = 2026-01-01", ", line 1: --seed must be int, not datetime"),
        ("a.toml", "alpha = 0.1\nlr = 0.2", "learning_rate is given twice"),
        ("a.toml", 'layers = "784"', ": --layers must be two or more sizes"),
        ("a.toml", "epochs = 1\niterations = 1", "give --iterations or --epochs, not both"),
        ("a.toml", "alpha = 0.1\nseed =\n", ", line 2: not valid TOML (Invalid value); correct"),
        ("a.toml", "alpha = 1\nalpha = 2\n", ", line 2: not valid TOML (Cannot overwrite"),
        ("a.toml", "settings = 3", ": holds no names with values"),
        ("a.toml", "seeds = 3\n[settings]\nalpha = 1", ", line 1: must stand under settings"),
        ("a.json", '{\n "alpha": 0.1,\n}', ", line 3: not valid JSON ("),
        ("a.json", "[" * 100_000, ": not valid JSON ("),
        ("a.json", "[1, 2]", ": holds no names with values"),
        ("a.json", '{"seed": 1,\n"alpha": [1]}', ", line 2: --alpha must be float, not [1]"),
        ("a.json", RUN | {"settings": {"sead": 1}}, ": there is no setting 'sead'; did you mean"),
        ("a.json", '{"alpha": NaN}', ", line 1: --alpha must be a finite number"),
        ("a.json", '{"sead\\u0021": 1}', ": there is no setting 'sead!'; did you mean seed?"),
        ("a.json", '{"iterations": null}', "give --iterations or --epochs"),
        ("a.json", "", ", line 1: not valid JSON"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path, name, content, message):
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--settings", "a.toml"], 1, "a.toml, line 1: there is no setting 'alhpa'; did you mean"),
        (["--settings", "a.json"], 1, "a.json, line 1: not valid JSON"),
        (["--settings", "b.toml"], 1, "b.toml: no such file"),
        (["--settings", "a.yaml"], 2, "a.yaml: the name must end in .json or .toml"),
        (["--settings", "a.toml", "--recipe", "fast"], 2, "cannot be given with --recipe"),
        (["--settings", "a.toml", "--resume", "x"], 2, "cannot be given with --resume"),
    ],
)
def test_refusals_are_one_sentence(tmp_path, arguments, status, message):
    written(tmp_path, "a.toml", "alhpa = 1")
    written(tmp_path, "a.json", "{")
    before = set(tmp_path.iterdir())
    done = run("train", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in runs.one_sentence(done.stderr)
    assert set(tmp_path.iterdir()) == before


def test_the_end_of_a_name_is_no_other_kind_of_file(tmp_path):
    with pytest.raises(UsageError, match="must end in"):
        read(tmp_path / "settings")
