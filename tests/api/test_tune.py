"""`mnistgpu.tune` and `mnistgpu tune`: a search that ends with a file of settings."""

import json
import subprocess
import sys
import time
import tomllib
import types

import numpy as np
import pytest
from helpers import runs
from helpers.made_sets import make_plain

import mnistgpu
from mnistgpu.api import tuning
from mnistgpu.commands.tuning import lines_of
from mnistgpu.errors import DivergedError, RunError, StoppedError, UsageError
from mnistgpu.runs import halving, training
from mnistgpu.settings import Settings

FAST = mnistgpu.RECIPES["fast"].settings


def test_each_rung_takes_as_long_and_the_last_has_one_run():
    for seconds, per_epoch in ((600, 0.3), (60, 0.3), (10, 0.5), (3600, 0.01), (7, 1.0)):
        rungs = halving.plan(seconds, per_epoch)
        work = [rung.candidates * rung.epochs for rung in rungs]
        assert len(set(work)) == 1
        assert rungs[-1].candidates == 1
        assert sum(work) * per_epoch <= seconds
        assert rungs[-1].epochs <= 2 * halving.LONGEST
        for per_run in (0.1, 2.0):
            rungs = halving.plan(seconds, per_epoch, per_run)
            assert rungs or seconds < 10 * per_run
            assert sum(rung.seconds(per_epoch, per_run) for rung in rungs) <= seconds
    assert halving.plan(5.0, 1.0) == []
    assert halving.plan(600, 0.3)[0] == halving.Rung(243, 1) or halving.plan(600, 0.3)[0].epochs > 1


def test_candidates_differ_where_they_may_and_are_the_same_again():
    made = halving.candidates(FAST, 60, 0, [], True)
    assert made[0] == FAST
    assert made == halving.candidates(FAST, 60, 0, [], True)
    assert made[1:5] != halving.candidates(FAST, 5, 1, [], True)[1:]
    for name in ("learning_rate", "layers", "input_noise", "hidden_noise", "rotation"):
        assert len({getattr(each, name) for each in made}) > 1, name
    rates = [each.learning_rate for each in made]
    assert min(rates) < 0.4 * FAST.learning_rate < 2.5 * FAST.learning_rate < max(rates)
    fixed = halving.candidates(FAST, 60, 0, ["layers", "learning_rate", "deformation"], True)
    assert {each.layers for each in fixed} == {FAST.layers}
    assert {each.learning_rate for each in fixed} == {FAST.learning_rate}
    assert not any(each.deformation.is_deforming for each in fixed)
    assert not any(each.deformation.is_deforming for each in halving.candidates(
        FAST, 60, 0, [], False))  # fmt: skip


def test_no_rate_is_drawn_that_weight_decay_forbids():
    """Their product must be below 1; drawn rates are up to ten times the first."""
    base = FAST.changed(weight_decay=0.5 / FAST.learning_rate)
    rates = [each.learning_rate for each in halving.candidates(base, 60, 0, [], True)]
    assert max(rates) > FAST.learning_rate
    assert max(rates) * base.weight_decay < 1


def test_the_better_accuracy_wins_and_of_equal_ones_the_smaller_loss():
    assert halving.ranked({0: (0.9, 0.3), 1: (0.95, 0.9), 2: (0.9, 0.2)}) == [1, 2, 0]


@pytest.fixture
def quick(monkeypatch):
    """Trials by another clock: a candidate is better the nearer its rate is to 0.02."""
    seen, now = [], [0.0]
    monkeypatch.setattr(tuning, "clock", lambda: now[0])

    def train(settings, dataset, backend, callbacks=(), stop=None, **more):
        assert dataset.test is None
        seen.append(settings)
        now[0] += 0.25 + 0.125 * settings.epochs  # a beginning, and the steps
        if settings.learning_rate > 0.1:
            raise DivergedError("training diverged")
        accuracy = 0.9 - abs(np.log(settings.learning_rate / 0.02)) / 10

        row = types.SimpleNamespace(validation_accuracy=accuracy, validation_loss=1.0)
        return types.SimpleNamespace(history=[row], results={"seconds": 0.125 * settings.epochs})

    monkeypatch.setattr(training, "train", train)
    return seen


def test_the_best_third_goes_on_and_the_best_is_written(quick, arrays, tmp_path):
    found = mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "search")  # 12 s
    rungs = halving.plan(12 - 0.375, 0.125, 0.25)
    epochs = [trial.epochs for trial in found.trials[1:]]
    for rung in rungs:
        assert epochs.count(rung.epochs) == rung.candidates
    first = [t for t in found.trials[1:] if t.epochs == rungs[0].epochs]
    second = [t for t in found.trials if t.epochs == rungs[1].epochs]
    best = sorted(first, key=lambda t: -t.validation_accuracy)[: rungs[1].candidates]
    assert {t.candidate for t in second} == {t.candidate for t in best}
    accuracies = [t.validation_accuracy for t in first]
    assert found.best.validation_accuracy == max(accuracies)
    assert found.settings.epochs == rungs[-1].epochs
    written = tomllib.loads(found.path.read_text())
    assert written["learning_rate"] == found.settings.learning_rate
    assert "validation" not in written
    assert Settings().changed(**written).layers == found.settings.layers
    assert lines_of(found)[0].startswith("candidate  ")
    assert f"{found.best.validation_accuracy:.4f}" in lines_of(found)[1]


def test_it_looks_at_no_test_images(quick, small_set, tmp_path):
    """The runs are given a set without any, which `quick` makes sure of."""
    found = mnistgpu.tune(small_set, minutes=0.05, out=tmp_path / "search")
    assert len(quick) == len(found.trials) > 1


def test_it_goes_on_where_it_was_stopped(quick, arrays, tmp_path):
    whole = mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "whole")
    count, stop = len(quick), mnistgpu.Stop()

    class EnoughError(Exception):
        pass

    def on_trial(trial, settings):
        if len(quick) == count + 8:
            raise EnoughError

    with pytest.raises(EnoughError):
        mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "search", on_trial=on_trial, stop=stop)
    record = json.loads((tmp_path / "search" / "tune.json").read_text())
    assert len(record["trials"]) == 8
    found = mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "search")
    assert len(quick) == 2 * count  # none of them twice
    assert found.trials == whole.trials
    assert found.path.read_text() == whole.path.read_text()


def test_another_search_is_not_gone_on_with(quick, arrays, tmp_path):
    images, labels = arrays
    mnistgpu.tune(images, labels, minutes=0.05, out=tmp_path / "search")
    for X, more in ((images[:800], {}), (images, {"activation": "tanh"}), (images, {"seed": 1})):
        with pytest.raises(UsageError, match="a search of other data or from other settings"):
            mnistgpu.tune(X, labels[: len(X)], minutes=0.05, out=tmp_path / "search", **more)


@pytest.mark.slow
def test_a_search_in_truth(arrays, tmp_path):
    """Real runs, for as long as was said; candidates that diverge or take too long lose."""
    begun = time.monotonic()
    found = mnistgpu.tune(*arrays, minutes=3 / 60, out=tmp_path / "search", layers="784-16-10")
    assert found.best.validation_accuracy > 0.6
    assert {each.layers for each in found.candidates} == {"784-16-10"}
    assert time.monotonic() - begun < 6.0
    assert all(
        0 < trial.loop_seconds < trial.seconds for trial in found.trials if not trial.problem
    )
    run = mnistgpu.fit(*arrays, progress=False, **tomllib.loads(found.path.read_text()))
    assert run.results["validation_accuracy"] > 0.5


def test_no_time_for_one_run(arrays, tmp_path):
    with pytest.raises(RunError, match=r"--minutes .*: one epoch of .* did not end well \(.*time"):
        mnistgpu.tune(*arrays, minutes=1e-6, out=tmp_path / "search")
    for minutes in (0, -1, float("nan"), "10", True):
        with pytest.raises(UsageError, match="--minutes must be a number greater than 0"):
            mnistgpu.tune(*arrays, minutes=minutes, out=tmp_path / "other")


def test_a_diverged_run_has_taken_its_time(quick, arrays, tmp_path):
    found = mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "search", learning_rate=0.1)
    with pytest.raises(RunError, match=r"diverged.*; give other settings"):
        mnistgpu.tune(*arrays, minutes=0.2, out=tmp_path / "other", learning_rate=0.2)
    (kept,) = json.loads((tmp_path / "other" / "tune.json").read_text())["trials"]
    assert kept["seconds"] == 0.375
    assert found.best.seconds == 0.25 + 0.125 * found.best.epochs
    assert sum(trial.seconds for trial in found.trials) <= 12


def test_with_more_time_a_run_whose_time_was_over_is_trained_again(arrays, tmp_path):
    out, how, given = tmp_path / "search", {"layers": "784-8-10"}, []

    def on_trial(trial, settings):
        given.append(trial)
        if not trial.problem:
            raise InterruptedError("the first run has been trained")

    for _ in range(2):  # as little time as before is no reason to try again
        with pytest.raises(RunError, match="the time of the search is over"):
            mnistgpu.tune(*arrays, minutes=1e-6, out=out, on_trial=on_trial, **how)
    with pytest.raises(InterruptedError):
        mnistgpu.tune(*arrays, minutes=10, out=out, on_trial=on_trial, **how)
    assert [each.problem for each in given] == [tuning.OVER, tuning.OVER, ""]
    (kept,) = json.loads((out / "tune.json").read_text())["trials"]
    assert kept["problem"] == ""


@pytest.mark.parametrize("name", ["epochs", "iterations"])
def test_the_length_is_what_it_decides(arrays, tmp_path, name):
    with pytest.raises(UsageError, match="is what the search decides"):
        mnistgpu.tune(*arrays, minutes=1, out=tmp_path / "search", **{name: 3})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"from_run": "shipped"}, "leave --from out"),
        ({"early_stopping": 3}, "leave --early-stopping out"),
        ({"validation": 0}, "--validation: no image would be held out"),
        ({"validation": 0.0001}, "--validation: no image would be held out"),
    ],
)
def test_what_a_search_has_no_use_for_is_refused(quick, arrays, tmp_path, given, words):
    with pytest.raises(UsageError, match=words):
        mnistgpu.tune(*arrays, minutes=0.05, out=tmp_path / "search", **given)
    assert not quick
    assert not (tmp_path / "search").exists()


def test_images_of_their_own_to_hold_out(quick, arrays, tmp_path):
    images, labels = arrays
    parts = (images[:800], labels[:800]), (images[800:], labels[800:])
    found = mnistgpu.tune(*parts[0], minutes=0.05, out=tmp_path / "search", validation=parts[1])
    assert found.settings.validation == 0


def test_data_that_bring_images_to_hold_out(quick, arrays, tmp_path):
    images, labels = arrays
    own = {"X_validation": images[800:], "y_validation": labels[800:]}
    path = tmp_path / "digits.npz"
    np.savez(path, X_train=images[:800], y_train=labels[:800], **own)
    found = mnistgpu.tune(path, minutes=0.05, out=tmp_path / "search")
    assert found.settings.validation == 0
    assert found.best.validation_accuracy > 0


def test_images_that_stay_in_their_files_bring_their_own(quick, tmp_path):
    made = make_plain(tmp_path / "with", 600, validation=100)
    found = mnistgpu.tune(made, minutes=0.05, out=tmp_path / "search", batch_size=100)
    assert found.settings.validation == 0
    without = make_plain(tmp_path / "without", 600, validation=0)
    quick.clear()
    with pytest.raises(UsageError, match="make the set with validation images of its own"):
        mnistgpu.tune(without, minutes=0.05, out=tmp_path / "other", batch_size=100)
    assert not quick


def test_a_request_to_stop_ends_it(arrays, tmp_path):
    stop = mnistgpu.Stop()

    def on_trial(trial, settings):
        stop.interrupt("a test", 1)

    with pytest.raises(StoppedError):
        mnistgpu.tune(*arrays, minutes=1, out=tmp_path / "s", stop=stop, on_trial=on_trial)
    assert len(tuning.files.read_json(tmp_path / "s" / "tune.json")["trials"]) == 1


@pytest.mark.slow
def test_the_command(small_set, tmp_path):
    command = [sys.executable, "-m", "mnistgpu.cli", "tune", "--data", str(small_set)]
    command += ["--minutes", "0.05", "--layers", "784-16-10", "--out", "search"]
    done = subprocess.run(
        command, cwd=tmp_path, env=runs.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "candidate   0  epochs   1  validation 0." in done.stdout
    assert "train with: mnistgpu train --settings search" in done.stdout.splitlines()[-1]
    train = runs.run_here("--data", small_set, "--settings", "search/tuned.toml", cwd=tmp_path)
    assert train.returncode == 0, train.stderr
