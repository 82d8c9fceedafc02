"""An exact run stops where its sums could round, and loses nothing."""

import numpy as np
import pytest
from helpers.mnist import read_idx

import mnistgpu
from mnistgpu.maths import exact_grids
from mnistgpu.runs import checkpoint

SMALL = {
    "layers": "784-16-10", "init": "he", "epochs": 40, "batch_size": 50, "precision": "exact",
    "validation": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def arrays():
    """1,500 images (1500, 784), which are two shards, and their labels."""
    return read_idx("train-images-idx3-ubyte", 1500), read_idx("train-labels-idx1-ubyte", 1500)


def test_a_run_that_diverges_stops_as_any_other(arrays):
    with np.errstate(all="ignore"), pytest.raises(mnistgpu.DivergedError) as error:
        mnistgpu.fit(*arrays, progress=False, alpha=1e5, **SMALL)
    assert "--precision exact rounds no sum" in str(error.value)
    assert "try --alpha" in str(error.value)


@pytest.mark.parametrize("processes", [True, False])
def test_the_last_good_checkpoint_stays(arrays, tmp_path, monkeypatch, processes):
    """The range is narrowed, so that a healthy run leaves it in the middle."""
    batch = None if processes else 50

    seen = []

    class Watch(mnistgpu.Callback):
        def step(self, trainer, progress):
            trainer.collect()
            seen.append(float(max(shard.largest[0] for shard in trainer.engine.shards)))
            if trainer.taken == 5:
                monkeypatch.setattr(exact_grids, "ACTIVATIONS_BELOW", seen[-1] * 1.02)

    path = tmp_path / "run"
    with pytest.raises(mnistgpu.DivergedError, match="activation of hidden layer 1") as error:
        mnistgpu.fit(
            *arrays, out=path, progress=False, alpha=0.2, checkpoint_every="0s",
            callbacks=[Watch()], **SMALL | {"batch_size": batch},
        )  # fmt: skip
    assert "keeps the run as it was after iteration" in str(error.value)
    monkeypatch.undo()
    saved = checkpoint.load(path)
    assert saved.taken == len(seen) >= 5
    assert max(seen) <= seen[4] * 1.02  # what was saved last was still in its range
    assert mnistgpu.verify(path, *arrays, steps=5)
    assert not (path / "results.json").exists()


def test_nothing_is_written_for_what_cannot_be_exact(arrays, tmp_path):
    wide = SMALL | {"layers": "784-300000-10"}
    with pytest.raises(mnistgpu.UsageError, match="--layers of at most"):
        mnistgpu.fit(*arrays, out=tmp_path / "run", progress=False, **wide)
    assert not (tmp_path / "run").exists()


def test_an_activation_without_an_exact_form_is_refused_by_name(arrays, monkeypatch):
    from mnistgpu.maths import activations

    softplus = activations.Activation(np.logaddexp, np.logaddexp, 1.0)
    monkeypatch.setitem(activations.ACTIVATIONS, "softplus", softplus)
    with pytest.raises(mnistgpu.UsageError, match="--activation softplus"):
        mnistgpu.fit(*arrays, progress=False, **SMALL, activation="softplus")


def test_numbers_in_their_ranges_are_not_refused(arrays):
    run = mnistgpu.fit(*arrays, progress=False, alpha=0.1, **SMALL | {"epochs": 3})
    assert run.results["train_accuracy"] > 0.7
