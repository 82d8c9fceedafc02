"""Networks are judged on the test part of what they were trained on, or a sentence says why not."""

import json
import shutil

import numpy as np
import pytest
from helpers.command import run_here
from helpers.digit_files import npz_bytes, write_folder
from helpers.runs import one_sentence

import mnistgpu
from mnistgpu.api.own_data import digits_to_judge
from mnistgpu.data import Digits
from mnistgpu.errors import DataError, UsageError

SHORT = "--layers", "784-16-10", "--init", "he", "--batch-size", 20, "--epochs", 8, "--shift", 0.1


@pytest.fixture(scope="module")
def garments(tmp_path_factory, digits):
    """A set in MNIST's form that is not MNIST: digits turned by a quarter, other labels."""
    images, labels = digits
    turned = np.rot90(images[:300].reshape(-1, 28, 28), axes=(1, 2))
    few = np.ascontiguousarray(turned), (labels[:300] + 3) % 10
    return write_folder(tmp_path_factory.mktemp("garments"), few)


@pytest.fixture(scope="module")
def run(garments, tmp_path_factory):
    """A run on it, which knows 100 test images."""
    path = tmp_path_factory.mktemp("runs") / "garments"
    done = run_here("train", "--data", garments, *SHORT, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def test_evaluate_takes_the_test_part(run, garments):
    done = run_here("evaluate", run, "--report", run.parent / "page.html")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith(f"{garments}, test: ")
    assert first.endswith(" of 100 right")
    accuracy = json.loads((run / "results.json").read_text())["test_accuracy"]
    assert second.startswith(f"accuracy {accuracy:.4f} ")
    assert accuracy > 0.5  # of MNIST it would have a tenth right


def test_plot_draws_the_report_of_the_run_again(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run, path)
    before = (path / "report.png").read_bytes()
    assert run_here("plot", path).returncode == 0
    again = (path / "report.png").read_bytes()
    done = run_here("plot", path, "--deformations")
    assert done.returncode == 0, done.stderr
    assert abs(len(again) - len(before)) < 0.1 * len(before)  # only the title, a path, differs


def test_deformations_are_of_images_of_the_networks_size(run, tmp_path):
    small = tmp_path / "small.npz"
    np.savez(small, x_train=np.zeros((3, 8, 8), np.uint8), y_train=np.arange(3))
    done = run_here("plot", run, "--deformations", "--data", small, "--out", tmp_path / "it.png")
    assert done.returncode == 1
    assert "images of 8x8 = 64 pixels" in one_sentence(done.stderr)


def test_compare_and_committee_take_it_too(run, garments, tmp_path):
    other = tmp_path / "other"
    assert run_here("train", "--data", garments, *SHORT, "--seed", 1, "--out", other).stdout
    done = run_here("compare", run, other, "--json")
    assert (done.returncode, json.loads(done.stdout)["count"]) == (0, 100), done.stderr
    assert json.loads(done.stdout)["networks"][0]["accuracy"] > 0.5
    out = tmp_path / "together"
    done = run_here("committee", run, other, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"{garments}, test: " in done.stdout
    again = run_here("evaluate", out, "--report", tmp_path / "page.html")
    assert again.stdout.splitlines()[:2] == done.stdout.splitlines()[:2]


def test_networks_of_different_data_share_no_test_part(run, tmp_path, garments):
    out = tmp_path / "together"
    for command in (["compare", run, "shipped"], ["committee", run, "shipped", "--out", out]):
        done = run_here(*command)
        assert done.returncode == 2
        assert "were not trained on the same data" in one_sentence(done.stderr)
        assert "--data" in done.stderr
    assert not out.exists()
    done = run_here("compare", run, "shipped", "--data", garments)
    assert done.returncode == 0, done.stderr


def test_a_model_file_finds_the_record_beside_it(run, tmp_path):
    found = digits_to_judge([run / "model.safetensors"])
    assert len(found) == 100
    shutil.copy(run / "model.safetensors", tmp_path / "mine.safetensors")
    with pytest.raises(DataError, match=r"mine\.safetensors: nothing says where the data are"):
        digits_to_judge([tmp_path / "mine.safetensors"])


def test_the_shipped_network_needs_no_record():
    found = digits_to_judge(["shipped"])
    assert (len(found), found.source) == (10_000, "embedded MNIST, test")


def test_a_record_of_other_data_does_not_count(run, tmp_path):
    """A model that was copied into the directory of another run."""
    path = tmp_path / "run"
    shutil.copytree(run, path)
    shutil.copy(mnistgpu.__path__[0] + "/models/digits.safetensors", path / "model.safetensors")
    assert digits_to_judge([path]).source == "embedded MNIST, test"


def test_data_that_are_gone_or_changed_are_said(run, garments, tmp_path, digits):
    moved = tmp_path / "moved"
    shutil.copytree(garments, moved)
    path = tmp_path / "run"
    assert run_here("train", "--data", moved, *SHORT, "--out", path).returncode == 0
    before = (path / "report.png").read_bytes()
    write_folder(moved, (digits[0][:300].reshape(-1, 28, 28), digits[1][:300]))
    for command in ("evaluate", "plot"):
        done = run_here(command, path)
        assert done.returncode == 1
        assert f"{moved}: is not what {path} was trained on" in one_sentence(done.stderr)
    shutil.rmtree(moved)
    for command in ("evaluate", "plot"):
        done = run_here(command, path)
        assert done.returncode == 1
        assert f"{moved}: is not there any more, and {path} was trained on" in done.stderr
        assert "--data" in one_sentence(done.stderr)
    assert (path / "report.png").read_bytes() == before
    assert run_here("evaluate", path, "--data", garments).returncode == 0


def test_a_relative_path_is_found_from_elsewhere(garments, tmp_path):
    done = run_here(
        *("train", "--data", garments.name, *SHORT, "--out", tmp_path / "run"), cwd=garments.parent
    )
    assert done.returncode == 0, done.stderr
    assert len(digits_to_judge([tmp_path / "run"])) == 100


def test_without_a_test_part_the_held_out_images_judge(tmp_path, digits):
    images, labels = digits
    path = tmp_path / "few.npz"
    path.write_bytes(npz_bytes(x_train=images[:400].reshape(-1, 28, 28), y_train=labels[:400]))
    for held_out in (80, 0):
        arguments = "train", "--data", path, *SHORT, "--validation", held_out
        assert run_here(*arguments, "--out", tmp_path / str(held_out)).returncode == 0
    found = digits_to_judge([tmp_path / "80"])
    assert (len(found), found.source) == (80, f"{path}, train, 80 held out")
    accuracy = mnistgpu.evaluate(tmp_path / "80", robustness=False).accuracy
    results = json.loads((tmp_path / "80" / "results.json").read_text())
    assert accuracy == pytest.approx(results["validation_accuracy"])
    with pytest.raises(DataError, match=r"was trained on every image of .*few\.npz"):
        digits_to_judge([tmp_path / "0"])
    with pytest.raises(UsageError, match="or held out other images of them"):
        other = tmp_path / "other"
        assert run_here("train", "--data", path, *SHORT, "--seed", 1, "--out", other).stdout
        mnistgpu.compare(tmp_path / "80", other)


def test_networks_of_arrays_ask_for_them(digits, tmp_path):
    images, labels = digits
    small = {"layers": "784-8-10", "iterations": 2}
    run = mnistgpu.fit(images[:300], labels[:300], out=tmp_path / "run", **small)
    assert len(digits_to_judge([run])) == 30  # it has them still
    for given in (run.model, tmp_path / "run", mnistgpu.load(tmp_path / "run")):
        with pytest.raises(DataError, match=r"was trained on arrays \(arrays\), which are not"):
            mnistgpu.evaluate(given)
    assert mnistgpu.evaluate(run.model, images[:9], labels[:9], robustness=False)


def test_a_loaded_model_knows_its_data(run, garments):
    expected = mnistgpu.load_data(garments).test
    for given in (mnistgpu.load(run), mnistgpu.resume(run), mnistgpu.resume(run).model):
        found = digits_to_judge([given])
        assert isinstance(found, Digits)
        np.testing.assert_array_equal(found.images, expected.images)
    assert mnistgpu.load(run).evaluate().accuracy > 0.5


def test_a_run_of_an_old_version_knows_its_data(tmp_path):
    from helpers.mnist import ROOT

    found = digits_to_judge([ROOT / "tests" / "old_files" / "0.1.0" / "finished"])
    assert found.source == "embedded MNIST, test"
