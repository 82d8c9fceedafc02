"""Watching a network learn: snapshots, the animated picture, the page, and what it all costs."""

import json
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from helpers import processes, runs
from helpers.browser import Watched, launched
from helpers.command import run, run_here
from helpers.resuming import SMALL
from helpers.steered import Steered, until
from PIL import Image

from mnistgpu import backend, data
from mnistgpu.errors import DataError
from mnistgpu.runs import training, watching
from mnistgpu.settings import Settings
from mnistgpu.storage import tensor_file

RUN = ("--layers", "784-16-10", "--init", "he", "--batch-size", 500, "--validation", 500)


@pytest.fixture(scope="module")
def small(digits):
    images, labels = digits
    train = data.Digits(images[:1500], labels[:1500], "some digits")
    return data.Dataset(train, data.Digits(images[1500:], labels[1500:], "others"), "digits")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "watched"
    done = run("train", *RUN, "--epochs", 3, "--snapshots", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_a_snapshot_for_every_row(small):
    settings = Settings(layers="784-16-10", init="he", iterations=20, validation=100)
    seen = watching.Snapshots.of(small)
    chosen = backend.select("numpy")
    watched = training.train(settings, small, chosen, [watching.Watcher(seen)])
    plain = training.train(settings, small, chosen)
    assert np.array_equal(watched.model.theta, plain.model.theta)  # to watch changes nothing
    assert seen.rows == watched.history
    assert seen.steps == 20
    assert len(seen.units) == len(seen.probabilities) == len(seen.rows)
    W = watched.model.theta[: 16 * 784].reshape(16, 784)
    assert np.array_equal(seen.units[-1], W)
    assert not np.array_equal(seen.units[0], seen.units[-1])
    assert sorted(seen.labels.tolist()) == list(range(10))
    assert np.allclose(seen.probabilities[-1].T, watched.model.probabilities(seen.images))


def test_snapshots_of_steps_that_are_undone_are_forgotten(dataset):
    seen = watching.Snapshots.of(dataset)
    with Steered(dataset, SMALL, [watching.Watcher(seen)], paused=True, hold=True) as run:
        run.steering.start()
        until(lambda: run.state["status"] == "holding")
        assert [row.iteration for row in seen.rows] == [1, 8, 16, 24]
        run.steering.undo(16)
        until(lambda: len(seen.units) == 3)
        assert [row.iteration for row in seen.rows] == [1, 8, 16]
        assert len(seen.probabilities) == 3
        run.steering.change("epochs", 4)
        until(lambda: seen.steps == 32)


def test_snapshots_survive_the_disk(finished, tmp_path):
    seen = watching.load(finished / watching.FILE)
    assert len(seen.rows) == len(seen.units) == 4  # of the first step, and of three epochs
    watching.save(seen, tmp_path / "again.safetensors")
    again = watching.load(tmp_path / "again.safetensors")
    assert repr(again.rows) == repr(seen.rows)
    assert np.array_equal(again.units, seen.units)
    assert np.array_equal(again.images, seen.images)
    whole = (finished / watching.FILE).read_bytes()
    for damaged in (b"", whole[:1000], whole[:-1], whole[:-9] + b"x" + whole[-8:]):
        path = tmp_path / "damaged.safetensors"
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            watching.load(path)


def test_snapshots_of_a_very_long_run_are_thinned(finished, tmp_path, monkeypatch):
    seen = watching.load(finished / watching.FILE)
    with monkeypatch.context() as patch:
        patch.setattr(watching, "MOST", 3)
        watching.save(seen, tmp_path / watching.FILE)
    again = watching.load(tmp_path / watching.FILE)
    assert [row.iteration for row in again.rows] == [row.iteration for row in seen.rows][::2]


@pytest.mark.parametrize(
    ("texts", "arrays"),
    [
        ({"image_shape": "9" * 5000 + "x3"}, {}),
        ({"counts": "9" * 5000 + " 3 2 10"}, {}),
        ({"counts": "١ 3 2 10"}, {}),
        ({}, {"rows": np.full((1, 8), np.nan)}),
        ({}, {"rows": np.full((1, 8), np.inf)}),
        ({}, {"rows": np.array([[1.0, *[np.nan] * 7]])}),
        ({}, {"rows": np.array([[1.0, *[1e308] * 7]])}),
        ({}, {"rows": np.array([[1.5, *[1.0] * 7]])}),
        ({}, {"images": np.full((2, 12), 1e30, np.float32)}),
        ({}, {"labels": np.full(2, 1e30, np.float32)}),
        ({}, {"labels": np.full(2, -1, np.float32)}),
        ({}, {"units": np.full((1, 3, 12), 3e38, np.float32)}),
        ({}, {"probabilities": np.full((1, 2, 10), -3e38, np.float32)}),
    ],
)
def test_impossible_snapshots_are_refused(tmp_path, texts, arrays):
    path = tmp_path / watching.FILE
    whole_texts = {"image_shape": "4x3", "counts": "1 3 2 10"}
    whole = {
        "images": np.zeros((2, 12), np.float32),
        "labels": np.zeros(2, np.float32),
        "rows": np.array([[1.0, 0.1, 0.1, 2.3, 0.1, np.nan, np.nan, 0.5]]),
        "units": np.zeros((1, 3, 12), np.float32),
        "probabilities": np.full((1, 2, 10), 0.1, np.float32),
    }
    tensor_file.write(path, watching.FORMAT, 1, whole_texts, whole)
    assert len(watching.load(path).rows) == 1
    tensor_file.write(path, watching.FORMAT, 1, whole_texts | texts, whole | arrays)
    with pytest.raises(DataError, match=f"^{path}"):
        watching.load(path)


@pytest.mark.slow
def test_animate(finished, tmp_path):
    path = tmp_path / "run.gif"
    done = run("plot", finished, "--animate", "--out", path)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    with Image.open(path) as picture:
        assert picture.n_frames == 4  # the first step, and three epochs
        assert picture.size == (840, 335)
        first = np.asarray(picture.convert("L"), dtype=int)
        colours = np.asarray(picture.convert("RGB"))
        for exact in ((255, 255, 255), (213, 94, 0)):  # paper, and a mistake
            assert np.sum((colours == exact).all(axis=2)) > 50, exact
        picture.seek(3)
        last = np.asarray(picture.convert("L"), dtype=int)
        assert picture.info["duration"] > 2000
    assert np.mean(first != last) > 0.05
    assert path.stat().st_size < 1e6


@pytest.mark.slow
def test_animate_refuses_in_one_sentence(finished, tmp_path):
    bare = tmp_path / "bare"
    assert run_here("train", *RUN, "--epochs", 1, "--out", bare).returncode == 0
    for arguments, status, message in (
        ((bare, "--animate"), 1, "train with --snapshots"),
        ((finished, "--animate", "--out", tmp_path / "run.png"), 2, ".gif"),
        ((finished, "--animate", "--deformations"), 2, "one of them"),
    ):
        done = run_here("plot", *arguments)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr


def test_a_newer_run_leaves_no_older_snapshots(finished, tmp_path):
    out = tmp_path / "run"
    assert run_here("train", *RUN, "--epochs", 1, "--snapshots", "--out", out).returncode == 0
    assert (out / watching.FILE).exists()
    assert run_here("train", *RUN, "--epochs", 1, "--out", out, "--force").returncode == 0
    assert not (out / watching.FILE).exists()


def begun(tmp_path, *arguments):
    """A run with a page, as a process, and the page's address."""
    process = runs.start("--watch", "--out", tmp_path / "run", *RUN, *arguments)
    for line in process.stdout:
        if line.startswith("watch "):
            return process, line.split()[1]
    raise AssertionError(process.stderr.read())


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    with launched() as browser:
        process, address = begun(tmp_path, "--epochs", 12)
        views = [
            Watched(browser, size, scheme)
            for size, scheme in (("desktop", "light"), ("phone", "dark"))
        ]
        for view in views:
            view.page.goto(address)
        for view in views:
            view.page.wait_for_function(
                "() => document.getElementById('where').textContent.includes('of 1,428')",
                timeout=60_000,
            )
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        for view, name in zip(views, ("watch-desktop-light", "watch-phone-dark"), strict=True):
            page = view.page
            page.wait_for_function("() => document.title.startsWith('100%')", timeout=10_000)
            assert page.locator("#units canvas").count() == 16
            assert page.locator("#digits canvas").count() == 10
            assert page.locator("polyline").count() == 4
            assert view.fits()
            view.picture(name)
            assert [text for text in view.complaints if "REFUSED" not in text] == []
    assert "saved in" in output
    assert (tmp_path / "run" / watching.FILE).exists()


@pytest.mark.slow
def test_the_page_of_a_run_that_was_stopped(tmp_path):
    with launched() as browser:
        process, address = begun(tmp_path, "--iterations", 40_000)
        view = Watched(browser, "small phone", "light")
        view.page.goto(address)
        view.page.wait_for_function(
            "() => document.getElementById('where').textContent.includes('to go')", timeout=60_000
        )
        process.kill()
        process.communicate()
        view.page.wait_for_function(
            "() => document.getElementById('where').textContent.startsWith('Training has ended;')"
        )
        assert "to go" not in view.page.locator("#where").text_content()
        assert view.fits()
        # every number on the axes is inside its picture
        assert view.page.evaluate(
            "() => [...document.querySelectorAll('svg')].every(svg => { const edge ="
            " svg.getBoundingClientRect().right + 1; return [...svg.querySelectorAll('text')]"
            ".every(text => text.getBoundingClientRect().right <= edge); })"
        )
        view.picture("watch-stopped")


SHORT_LINGER = """
from mnistgpu import cli
from mnistgpu.web import watch

watch.LINGER = watch.UNNOTICED + 0.2
cli.main()
"""


@pytest.mark.slow
def test_quiet_says_nothing_of_the_page_either(tmp_path):
    """Not even that the page of a finished run waits for a browser."""
    arguments = (*RUN, "--iterations", 2, "--watch", "--quiet", "--out", tmp_path / "run")
    done = processes.run(
        [sys.executable, "-c", SHORT_LINGER, "train", *arguments],
        env=runs.environment() | {"BROWSER": "true"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def status_of_refusal(request):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    with refusal.value:
        return refusal.value.code


@pytest.mark.slow
def test_the_page_by_hand(tmp_path):
    process, address = begun(tmp_path, "--epochs", 4)
    first = get(f"{address}state")
    assert get(f"{address}state?after=99999")["rows"] == []
    for wrong in ("-1", "x", "1e3", "9" * 30):
        assert status_of_refusal(f"{address}state?after={wrong}") == 422
    request = urllib.request.Request(f"{address}state", headers={"Origin": "http://evil.example"})
    assert status_of_refusal(request) == 403
    rows, state = first["rows"], first
    while not state["finished"]:
        state = get(f"{address}state?after={len(rows)}")
        rows += state["rows"]
    assert [row["iteration"] for row in rows] == [1, 119, 238, 357, 476]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.slow
def test_without_a_reader_it_does_not_wait(tmp_path):
    process, _ = begun(tmp_path, "--epochs", 1)
    process.communicate(timeout=60)
    assert process.returncode == 0
