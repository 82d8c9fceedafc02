"""`mnistgpu.suggest` and `mnistgpu suggest`: images to label, as a sheet and a table."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import runs
from helpers.made_sets import in_memory, make

import mnistgpu
from mnistgpu.errors import DataError, Note, ShapeError, UsageError
from mnistgpu.reports import suggestions

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "run"
    mnistgpu.fit(small_set, out=out, progress=False, **SMALL | {"epochs": 15})
    return out


def test_distances_are_those_of_the_whole_gradients():
    """The first is the longest gradient; no image is named twice, the same one least of all."""
    random = np.random.default_rng(0)
    Z, H = random.normal(size=(5, 40)) * 2, random.normal(size=(7, 40))
    P = np.exp(Z) / np.exp(Z).sum(axis=0)
    P[:, 1], H[:, 1] = P[:, 0], H[:, 0]
    whole = np.empty((40, 35))
    for i in range(40):
        u = P[:, i].copy()
        u[u.argmax()] -= 1
        whole[i] = np.outer(u, H[:, i]).ravel()
    chosen = suggestions.choose(P, H, 10)
    assert chosen[0] == np.linalg.norm(whole, axis=1).argmax()
    assert len(set(chosen.tolist())) == 10
    assert not {0, 1} <= set(chosen.tolist())
    assert set(suggestions.choose(P, H, 100).tolist()) == set(range(40))
    # each is drawn by the square of its distance to the nearest that is chosen
    drawn = mnistgpu.counter_rng.uniforms(mnistgpu.counter_rng.key(0, like=whole), (10,), "float64")
    for i in range(1, 10):
        apart = ((whole[:, None] - whole[None, chosen[:i]]) ** 2).sum(axis=2).min(axis=1)
        share = apart.cumsum() / apart.sum()
        assert share[chosen[i] - 1] - 1e-9 <= drawn[i] <= share[chosen[i]] + 1e-9 or chosen[i] == 0


def test_unsure_images_come_before_sure_ones(trained, arrays):
    images = arrays[0]
    model = mnistgpu.load(trained)
    found = mnistgpu.suggest(model, images, count=60)
    sure = model.predict_proba(images).max(axis=1)
    assert len(found) == 60
    assert np.mean(found.probabilities) < sure.mean() - 0.1
    np.testing.assert_allclose(found.probabilities, sure[found.places], rtol=1e-5)
    assert found.answers == model.predict(images)[found.places].tolist()
    assert found.ids == found.places.tolist()
    assert np.array_equal(found.places, mnistgpu.suggest(model, images, count=60).places)
    assert not np.array_equal(
        found.places, mnistgpu.suggest(model, images, count=60, seed=1).places
    )


def test_the_table_is_data_once_its_labels_are_filled_in(trained, arrays, tmp_path):
    images, labels = arrays
    np.save(tmp_path / "others.npy", images)
    out = tmp_path / "suggested"
    found = mnistgpu.suggest(trained, tmp_path / "others.npy", count=25, out=out)
    assert found.table.read_bytes().startswith(suggestions.MARK)
    assert found.sheet.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError):  # no label is filled in yet
        mnistgpu.load_data(found.table)
    lines = found.table.read_text().splitlines()
    filled = [lines[0]]
    for line, place in zip(lines[1:], found.places, strict=True):
        number, _, rest = line.split(",", 2)
        assert int(number) == place
        filled.append(f"{number},{labels[place]},{rest}")
    found.table.write_text("\n".join(filled) + "\n")
    data = mnistgpu.load_data(found.table)
    assert np.array_equal(data.train.labels, labels[found.places])
    assert np.array_equal(data.train.images, images.reshape(-1, 784)[found.places])
    with pytest.raises(UsageError, match="perhaps with labels filled in"):
        mnistgpu.suggest(trained, tmp_path / "others.npy", out=out)
    mnistgpu.suggest(trained, tmp_path / "others.npy", count=5, out=out, force=True)
    assert len(found.table.read_text().splitlines()) == 6


def test_of_a_made_set_the_training_images_are_chosen_from(trained, tmp_path):
    """And not the originals of its test part; its images stay in their files."""
    folder = make(tmp_path / "made", 300)
    with pytest.warns(Note, match="stay in their files"):
        found = mnistgpu.suggest(trained, folder, count=5)
    images = in_memory(folder)
    assert np.array_equal(found.images, images[found.places])
    assert np.array_equal(found.places, mnistgpu.suggest(trained, images, count=5).places)


def test_a_file_of_somebody_else_stays(trained, arrays, tmp_path):
    (tmp_path / "suggestions.csv").write_text("mine\n")
    with pytest.raises(UsageError, match="not one this program made"):
        mnistgpu.suggest(trained, arrays[0], out=tmp_path / ".", force=True)
    assert (tmp_path / "suggestions.csv").read_text() == "mine\n"


@pytest.mark.parametrize("count", [0, -3, 2.5, True])
def test_a_count_that_is_none(trained, arrays, count):
    with pytest.raises(UsageError, match="--count must be a whole number of at least 1"):
        mnistgpu.suggest(trained, arrays[0], count=count)


def test_images_of_another_size(trained):
    with pytest.raises(ShapeError):
        mnistgpu.suggest(trained, np.zeros((10, 20, 20), np.uint8))
    with pytest.raises(DataError, match="X: is missing"):
        mnistgpu.suggest(trained, None)


def test_a_committee_and_a_network_without_hidden_layers(trained, arrays):
    other = mnistgpu.fit(*arrays, progress=False, **SMALL | {"layers": "784-10", "seed": 1})
    for model in (mnistgpu.committee([trained, other]), other):
        assert len(mnistgpu.suggest(model, arrays[0], count=7)) == 7


def test_the_command(trained, arrays, tmp_path):
    np.save(tmp_path / "others.npy", arrays[0])
    command = [sys.executable, "-m", "mnistgpu.cli", "suggest", str(trained), "others.npy"]
    done = subprocess.run(
        [*command, "--count", "12"], cwd=tmp_path, env=runs.environment(), capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 13
    assert lines[-1].startswith("the pictures are in suggestions")
    assert (tmp_path / "suggestions" / "suggestions.csv").exists()
    again = subprocess.run(
        command, cwd=tmp_path, env=runs.environment(), capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 2
    assert "perhaps with labels filled in" in runs.one_sentence(again.stderr)
