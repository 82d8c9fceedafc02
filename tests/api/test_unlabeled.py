"""`fit(X, y, unlabeled=U)` and `--unlabeled`: what is read, said and refused; runs that go on."""

import warnings

import numpy as np
import pytest
from helpers import runs
from helpers.made_sets import make

import mnistgpu
from mnistgpu.api import unlabeled
from mnistgpu.errors import DataError, Note, ShapeError, UsageError

HOW = {
    "layers": "784-16-10",
    "init": "he",
    "epochs": 2,
    "batch_size": 50,
    "alpha": 0.1,
    "adversarial": 1.0,
    "validation": 0,
}


@pytest.fixture
def parts(arrays):
    """60 images with labels, 300 without, and 100 for the test."""
    images, labels = arrays
    return images[:60], labels[:60], images[60:360], (images[400:500], labels[400:500])


def said(*values, **more):
    """The run, and the notes that were given."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", Note)
        run = mnistgpu.fit(*values, **HOW | more)
    return run, [str(each.message) for each in found]


def test_arrays_files_and_digits_give_the_same_network(parts, tmp_path):
    X, y, U, test = parts
    np.save(tmp_path / "others.npy", U)
    np.savez(tmp_path / "labelled.npz", x_train=U, y_train=np.arange(300) % 10)
    notes = {}
    thetas = set()
    for given in (U, U.reshape(300, 784), tmp_path / "others.npy", str(tmp_path / "labelled.npz")):
        run, notes[str(given)[-12:]] = said(X, y, unlabeled=given, test=test)
        thetas.add(run.model.trained.theta.tobytes())
    assert len(thetas) == 1
    assert any("has labels, which --unlabeled does not use" in each for each in
               notes["labelled.npz"])  # fmt: skip
    assert run.settings.unlabeled == str(tmp_path / "labelled.npz")
    plain, _ = said(X, y, test=test)
    assert plain.model.trained.theta.tobytes() not in thetas


def test_a_run_goes_on_from_where_it_stopped(parts, tmp_path):
    X, y, U, test = parts
    whole, _ = said(X, y, unlabeled=U, test=test)

    class StopAt(mnistgpu.Callback):
        def begin(self, trainer, progress, stop):
            self.stop = stop

        def step(self, trainer, progress):
            if trainer.taken == 5:
                self.stop.interrupt("a test", 1)

    for others in (U, tmp_path / "others.npy"):
        np.save(tmp_path / "others.npy", U)
        out = tmp_path / ("path" if others is not U else "array")
        with pytest.raises(mnistgpu.StoppedError):
            said(X, y, unlabeled=others, test=test, out=out, callbacks=[StopAt()])
        if others is U:
            with pytest.raises(UsageError, match="unlabeled images in arrays, which are not saved"):
                mnistgpu.resume(out, X, y, test=test, progress=False)
            with pytest.raises(DataError, match="not the data that"):
                mnistgpu.resume(out, X, y, test=test, progress=False, unlabeled=U[::-1])
            run = mnistgpu.resume(out, X, y, test=test, progress=False, unlabeled=U)
        else:
            run = mnistgpu.resume(out, X, y, test=test, progress=False)
        assert run.model.trained.theta.tobytes() == whole.model.trained.theta.tobytes()
        assert run.dataset.train.unlabeled is not None


def test_test_images_among_them_are_counted(parts):
    X, y, U, (X_test, y_test) = parts
    _, notes = said(X, y, unlabeled=np.concatenate([U, X_test[:40]]), test=(X_test, y_test))
    assert any("40 of its 340 images are test images, too" in each for each in notes)
    _, notes = said(X, y, unlabeled=U, test=(X_test, y_test))
    assert not any("too;" in each for each in notes)


def test_held_out_images_among_them_are_counted(parts):
    X, y, U, test = parts
    both = np.concatenate([X, U])  # of the labelled images, too, some of which are held out
    for given, count in ((20, 20), (0.25, 15), (0, None)):
        _, notes = said(X, y, unlabeled=both, test=test, validation=given, batch_size=30)
        found = [each for each in notes if "validation images, too" in each]
        assert len(found) == (count is not None)
        if count is not None:
            assert f"{count} of its 360 images are validation images, too" in found[0]
    _, notes = said(X, y, unlabeled=U, test=test, validation=20, batch_size=30)
    assert not any("too;" in each for each in notes)


def test_images_that_stay_in_their_files_are_refused(parts, tmp_path, monkeypatch):
    """By their path and as Digits, before all of them are looked at."""
    X, y, U, test = parts
    folder = make(tmp_path / "made", 300)
    monkeypatch.setattr(unlabeled, "overlaps", None)
    for given in (folder, mnistgpu.load_data(folder).train):
        with pytest.raises(UsageError, match=r"made, train stay in their files; give sets that"):
            said(X, y, unlabeled=given, test=test)
    with pytest.raises(UsageError, match=r"made, train stay in their files"):
        said(folder, unlabeled=U)


def test_of_a_whole_set_the_training_part_is_taken(parts, small_set):
    """And not its test part, which is what a trained network answers by default."""
    X, y, _, test = parts
    run, _ = said(X, y, unlabeled=small_set, test=test, epochs=1)
    assert run.dataset.train.unlabeled.shape == (900, 784)


def test_images_of_another_size_and_labels_of_other_classes(parts, tmp_path):
    X, y, U, _ = parts
    with pytest.raises(ShapeError, match=r"unlabeled: .*28x28"):
        said(X, y, unlabeled=np.zeros((20, 20, 20), np.uint8))
    np.savez(tmp_path / "letters.npz", x_train=U, y_train=["x"] * 300)
    with pytest.raises(DataError, match="label 'x' of image 0 is none of the classes"):
        said(X, y, unlabeled=tmp_path / "letters.npz")
    letters = mnistgpu.load_data(tmp_path / "letters.npz").train
    with pytest.raises(DataError, match=r"unlabeled\.labels: label 'x' .*none of the classes"):
        said(X, y, unlabeled=letters)
    with pytest.raises(DataError, match="unlabeled: is a Dataset; give one of its parts"):
        said(X, y, unlabeled=mnistgpu.load_data())


def test_without_the_loss_nothing_is_learnt_from_them(parts):
    X, y, U, _ = parts
    with pytest.raises(UsageError, match="--unlabeled needs --consistency, --denoising"):
        said(X, y, unlabeled=U, adversarial=0.0)


def test_a_run_that_had_none_takes_none_when_it_goes_on(parts, tmp_path):
    X, y, U, test = parts
    said(X, y, test=test, out=tmp_path / "run")
    how = {"epochs": 3, "progress": False, "out": tmp_path / "longer"}
    with pytest.raises(UsageError, match="was begun without such images"):
        mnistgpu.resume(tmp_path / "run", X, y, test=test, unlabeled=U, **how)


def test_the_data_of_a_run_are_as_before_without_them(parts):
    """A Dataset that brings some along has none, unless the call asks for them."""
    X, y, U, test = parts
    first, _ = said(X, y, unlabeled=U, test=test)
    again, _ = said(first.dataset)
    plain, _ = said(X, y, test=test)
    assert again.dataset.digest == plain.dataset.digest != first.dataset.digest
    assert again.model.trained.theta.tobytes() == plain.model.trained.theta.tobytes()
    assert unlabeled.detached(plain.dataset) is plain.dataset


def test_the_command_line_trains_and_judges_with_them(parts, tmp_path):
    """`evaluate` reads the data of the run again, with the images that had no labels."""
    X, y, U, (X_test, y_test) = parts
    np.savez(tmp_path / "few.npz", x_train=X, y_train=y, x_test=X_test, y_test=y_test)
    np.save(tmp_path / "others.npy", U)
    flags = ["--layers", "784-16-10", "--init", "he", "--epochs", 2, "--batch-size", 50]
    flags += ["--adversarial", 1, "--validation", 0, "--alpha", 0.1]
    done = runs.run_here(
        "--data", "few.npz", "--unlabeled", "others.npy", "--out", "run", *flags, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "60 training, 300 unlabeled, 0 validation, 100 test images" in done.stdout
    found = mnistgpu.evaluate(tmp_path / "run", robustness=False)
    assert found.accuracy == pytest.approx(
        mnistgpu.load(tmp_path / "run").predict(X_test).__eq__(y_test).mean()
    )
    (tmp_path / "others.npy").unlink()
    with pytest.raises(DataError, match="is not there any more, and the run learns from"):
        mnistgpu.evaluate(tmp_path / "run", robustness=False)
