"""Models that people hold: answers, pictures, files, and what one does with several."""

import copy
import dataclasses
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from helpers.mnist import ROOT

import mnistgpu
from mnistgpu import models
from mnistgpu.models import model as saved

PHOTO = ROOT / "tests" / "golden" / "photo-7.jpg"
SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


@pytest.fixture(scope="module")
def run(arrays, tmp_path_factory):
    """A short run, saved."""
    out = tmp_path_factory.mktemp("runs") / "small"
    return mnistgpu.fit(*arrays, **SMALL, out=out)


def test_answers_are_those_of_the_network_itself(arrays):
    images, _ = arrays
    model = mnistgpu.load("shipped")
    inner = saved.load(models.SHIPPED)
    probabilities = np.asarray(inner.probabilities(images.reshape(-1, 784)))
    assert model.predict(images).tolist() == probabilities.argmax(axis=0).tolist()
    assert np.array_equal(model.predict_proba(images), probabilities.T)
    assert model.sizes == inner.sizes
    assert model.image_shape == (28, 28)


def test_a_picture_is_read():
    answer = mnistgpu.load("shipped").read(PHOTO)
    assert answer.digit == 7
    assert answer.probability == pytest.approx(answer.probabilities[7])
    assert answer.probability > 0.9
    assert repr(answer).startswith(f"<Answer {PHOTO}: 7 (")
    assert [each.digit for each in mnistgpu.load("shipped").read(str(PHOTO), many=True)] == [7]


def test_what_is_no_picture_is_refused(tmp_path):
    model = mnistgpu.load("shipped")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(mnistgpu.DataError, match=r"a\.png"):
        model.read(tmp_path / "a.png")
    with pytest.raises(mnistgpu.MnistGpuError, match="missing"):
        model.read(tmp_path / "missing.jpg")
    with pytest.raises(mnistgpu.UsageError, match="not a picture; give arrays"):
        model.read(ROOT / "README.md")


def test_evaluation(arrays, run):
    images, labels = arrays
    found = run.model.evaluate(images, labels)
    right = int(np.sum(run.model.predict(images) == labels))
    assert found.right == right
    assert found.accuracy == right / len(labels)
    assert found.curves == []
    assert repr(found).startswith(f"<Evaluation: accuracy {right / 900:.4f} (95% interval ")
    same = mnistgpu.evaluate(run.directory, images, labels, robustness=False)
    assert same.lines() == found.lines()
    with pytest.raises(mnistgpu.UsageError, match="no labels to compare with"):
        run.model.evaluate(images)


def test_a_report_is_written_and_nothing_else_replaced(arrays, run, tmp_path):
    page = tmp_path / "report.html"
    mnistgpu.evaluate(run, *arrays, report=page, robustness=False)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    page.write_text("mine")
    with pytest.raises(mnistgpu.UsageError, match=r"report\.html"):
        mnistgpu.evaluate(run, *arrays, report=page, robustness=False)
    assert page.read_text() == "mine"


def test_saved_and_loaded_it_is_equal(arrays, run, tmp_path):
    path = mnistgpu.save(run, tmp_path / "a.safetensors")
    again = mnistgpu.load(path)
    assert again == run.model == mnistgpu.load(str(run.directory))
    assert hash(again) == hash(run.model)
    assert again != mnistgpu.load("shipped")
    assert again != "a model"
    again.layers[0][0][0, 0] += 1
    assert again != run.model
    for copied in (copy.deepcopy(run.model), ForkingPickler.loads(ForkingPickler.dumps(run.model))):
        assert copied == run.model


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.safetensors", "the file exists"), ("folder", "is a directory"), ("a.npz", ".safetensors")],
)
def test_where_a_model_may_not_be_saved(run, tmp_path, name, words):
    (tmp_path / "a.safetensors").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(mnistgpu.UsageError, match=words):
        mnistgpu.save(run.model, tmp_path / name)
    assert (tmp_path / "a.safetensors").read_text() == "mine"


def test_a_committee(arrays, run, tmp_path):
    images, labels = arrays
    other = mnistgpu.fit(images, labels, **SMALL, seed=1)
    both = mnistgpu.committee([run, other.model], out=tmp_path / "both")
    mean = (run.model.predict_proba(images) + other.model.predict_proba(images)) / 2
    assert np.allclose(both.predict_proba(images), mean, atol=1e-6)
    assert mnistgpu.load(tmp_path / "both") == both
    assert repr(both) == "<Committee of 2: 784-16-10, 784-16-10>"
    with pytest.raises(mnistgpu.UsageError, match="a committee is there"):
        mnistgpu.committee([run, other], out=tmp_path / "both")
    with pytest.raises(mnistgpu.UsageError, match="cannot join another"):
        mnistgpu.committee([both, run])
    with pytest.raises(mnistgpu.UsageError, match="has no layers of its own"):
        _ = both.layers
    assert mnistgpu.save(both, tmp_path / "copy") == tmp_path / "copy"


def test_a_committee_averages_over_deformed_copies(arrays):
    images, _ = arrays
    moved = mnistgpu.fit(*arrays, **SMALL | {"epochs": 1}, shift=3.0)
    answers = [mnistgpu.committee([moved], maps=maps).predict_proba(images[:50]) for maps in (0, 2)]
    assert np.allclose(answers[0], moved.model.predict_proba(images[:50]), atol=1e-6)
    assert np.abs(answers[1] - answers[0]).max() > 0.01


def test_a_comparison(arrays, run):
    images, labels = arrays
    found = mnistgpu.compare("shipped", run, images, labels)
    shipped = mnistgpu.load("shipped").evaluate(images, labels)
    assert found.right == (shipped.right, run.model.evaluate(images, labels).right)
    assert found.better == 0
    assert found.p_value < 1e-6
    same = mnistgpu.compare(run, run.model, images, labels)
    assert (same.better, same.p_value) == (None, 1.0)
    assert "no difference beyond chance" in same.lines()[-1]


def test_a_learning_rate_is_found(arrays, tmp_path):
    out = tmp_path / "rates.png"
    curve = mnistgpu.lr_find(*arrays, recipe="fast", steps=80, out=out)
    assert len(curve.rates) == len(curve.losses)
    assert curve.suggestion == curve.rates[int(np.argmin(curve.losses))] / 3
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(mnistgpu.UsageError, match="the file exists"):
        mnistgpu.lr_find(*arrays, out=out)


def test_pictures_of_a_run(arrays, run, tmp_path):
    figure = run.plot(path=tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) > 3
    assert mnistgpu.plot(run.directory, *arrays, out=tmp_path / "b.png") == tmp_path / "b.png"
    with pytest.raises(mnistgpu.UsageError, match="kind must be one of report"):
        mnistgpu.plot(run.directory, kind="curves")
    with pytest.raises(mnistgpu.UsageError, match="needs a run directory"):
        mnistgpu.plot(tmp_path / "none")
    with pytest.raises(mnistgpu.DataError, match="no snapshots here"):
        mnistgpu.plot(run.directory, kind="animation")


def test_a_submission(arrays, run, tmp_path):
    images, _ = arrays
    table = tmp_path / "test.csv"
    header = ",".join(f"pixel{i}" for i in range(784))
    np.savetxt(table, images[:20].reshape(20, -1), "%d", ",", header=header, comments="")
    assert mnistgpu.submit(run.model, table, tmp_path / "s.csv") == 20
    lines = (tmp_path / "s.csv").read_text().splitlines()
    answers = run.model.predict(images[:20])
    assert lines == ["ImageId,Label", *(f"{i},{a}" for i, a in enumerate(answers, 1))]
    with pytest.raises(mnistgpu.UsageError, match="the file exists"):
        mnistgpu.submit(run.model, table, tmp_path / "s.csv")


@pytest.mark.parametrize("wrong", [5, None, object()])
def test_what_is_no_model_is_refused(wrong, arrays):
    with pytest.raises(mnistgpu.UsageError, match="expected a model, a run or the path of one"):
        mnistgpu.evaluate(wrong, *arrays)


def test_the_machine_is_checked(monkeypatch):
    from mnistgpu.commands import doctor

    monkeypatch.setattr(doctor, "SPEED_SECONDS", 0.01)
    found = mnistgpu.doctor("numpy")
    assert [each.subject for each in found][:2] == ["packages", "optional"]
    assert all(each.good for each in found)


def test_the_card_of_a_model_whose_file_names_few_settings(run):
    few = dataclasses.replace(run.model.trained, settings={"layers": "784-16-10", "epochs": 7})
    assert "gradient-descent, alpha 0.25, 7 epochs, seed 0" in mnistgpu.Model(few)._repr_html_()
