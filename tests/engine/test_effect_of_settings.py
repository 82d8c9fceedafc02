"""Each setting changes what it should, by itself, and nothing else.

A new setting needs a row in EFFECTS, or, where a trainer of few steps cannot show what it does, the
tests that do in ELSEWHERE.
"""

import ast
import contextlib
from dataclasses import fields

import numpy as np
import pytest
from helpers.mnist import ROOT

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data import splitting
from mnistgpu.engine.gpu import cuda_graph
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

BASE = {
    "layers": "784-12-10",
    "init": "he",
    "iterations": 8,
    "batch_size": 10,
    "validation": 20,
    "learning_rate": 0.1,
    "seed": 3,
}
TRIED = 4  # steps, of the 8

STEP = {"step", "answers"}  # the parameters after one step, and the network after TRIED ones
GRADIENT = {"gradient"} | STEP
LOSS = {"loss"} | GRADIENT
WEIGHTS = {"first weights"} | LOSS
IMAGES = {"training images", "batches"} | LOSS

# For each setting: another value, what else is set in both runs, what changes.
EFFECTS = {
    "layers": ("784-13-10", {}, WEIGHTS),
    "activation": ("sigmoid", {"init": "uniform"}, LOSS),
    "init": ("glorot", {}, WEIGHTS),
    "batch_norm": (True, {}, LOSS),
    "iterations": (9, {}, {"steps"}),
    "epochs": (2, {}, {"steps"}),
    "batch_size": (11, {}, {"batches"} | LOSS),
    "validation": (0.3, {}, {"held-out images"} | IMAGES),
    "test_share": (0.2, {}, {"test images", "held-out images"} | IMAGES),
    "seed": (4, {}, {"held-out images"} | IMAGES | WEIGHTS),
    "precision": ("float64", {}, {"type"} | WEIGHTS),
    "optimizer": ("adam", {}, STEP),
    "learning_rate": (0.2, {}, {"rates"} | STEP),
    "momentum": (0.5, {"optimizer": "momentum"}, {"answers"}),  # from the second step on
    "schedule": ("linear", {}, {"rates", "answers"}),
    "warmup": (0.5, {}, {"rates"} | STEP),
    "weight_decay": (0.5, {}, STEP),
    "l2": (0.5, {}, GRADIENT),
    "clip_norm": (1e-3, {}, STEP),
    "max_norm": (0.5, {}, STEP),
    "ema": (0.5, {}, {"answers"}),
    "class_weight": ("3:9", {}, LOSS),
    "label_smoothing": (0.3, {}, LOSS),
    "input_noise": (0.3, {}, LOSS),
    "hidden_noise": (0.3, {}, LOSS),
    "input_dropout": (0.3, {}, LOSS),
    "hidden_dropout": (0.3, {}, LOSS),
    "adversarial": (2.0, {"input_noise": 0.1}, GRADIENT),  # the loss shown is that of the labels
    "consistency": (2.0, {"rotation": 20.0}, LOSS),  # which is then that of undeformed images
    "denoising": (9.0, {"input_noise": 0.1, "batch_norm": True}, GRADIENT | {"first weights"}),
    "information": (0.5, {}, GRADIENT),
    "center": (True, {}, LOSS),
    "min_ink": (0.1, {}, WEIGHTS),
    "rotation": (20.0, {}, LOSS),
    "rotation_1_7": (0.0, {"rotation": 20.0}, {"batches"} | LOSS),
    "scaling": (0.3, {}, LOSS),
    "shear": (0.5, {}, LOSS),
    "shift": (3.0, {}, LOSS),
    "mirror": (0.5, {}, LOSS),
    "elastic": (3.0, {}, LOSS),
    "elastic_sigma": (6.0, {"elastic": 3.0}, LOSS),
    "images_per_map": (3, {"rotation": 20.0}, LOSS),
    "clean_ending": (0.75, {"rotation": 20.0}, {"answers"}),
}
ELSEWHERE = {
    "graph": ["tests/engine/test_effect_of_settings.py::test_graph_alone_chooses_replayed_steps"],
    "early_stopping": [
        "tests/maths/test_regularize.py::test_early_stopping_keeps_the_best_weights"
    ],
    "from_run": ["tests/runs/test_from.py::test_it_begins_with_the_network_as_it_answers"],
    "freeze": ["tests/runs/test_from.py::test_frozen_layers_stay_to_the_bit"],
    "unlabeled": [
        "tests/engine/test_unlabeled_batches.py::test_images_without_labels_do_change_what_is_learnt"
    ],
    "teacher": ["tests/engine/test_teacher.py::test_labels_are_for_the_accuracy_alone"],
    "orientation": ["tests/api/test_orientation.py::test_of_an_array_the_axes_are_exchanged"],
}


@pytest.fixture
def images(digits):
    images, labels = digits
    return data.Dataset(data.Digits(images[:120], labels[:120], "the first digits"), None, "some")


def seen(settings, dataset):
    """What a run is made of, by name, as lists of arrays."""
    dataset = splitting.prepared(dataset, settings.sizes[-1], settings.test_share)
    training, held_out = data.split(dataset.train, settings.validation, settings.seed)
    trainer, gradients = Trainer(settings, training, NUMPY), []
    update = trainer.update

    def noted(gradient, numbers):
        gradients.append(gradient.copy())
        update(gradient, numbers)

    trainer.update = noted
    found = {
        "training images": [training.images],
        "held-out images": [held_out.images],
        "test images": [] if dataset.test is None else [dataset.test.images],
        "type": [np.empty(0, trainer.theta.dtype)],
        "steps": [np.array(trainer.steps)],
        "batches": [np.array(trainer.batches.rows(step)) for step in range(TRIED)],
        "rates": [np.array([trainer.scheduled_rate(step) for step in range(TRIED)])],
        "first weights": [trainer.theta.copy()],
    }
    with trainer.engine.running():
        found["loss"] = [np.array(trainer.step()[0])]
        found |= {"gradient": gradients[:], "step": [trainer.theta.copy()]}
        for _ in range(TRIED - 1):
            trainer.step()
        found["answers"] = [trainer.plain().copy()]
    return found


def differs(one, other):
    pairs = zip(one, other, strict=False)
    same = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    return not (len(one) == len(other) and same)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_setting_changes_what_it_should_and_nothing_else(name, images):
    value, both, changes = EFFECTS[name]
    settings = Settings(**(BASE | both))
    before, after = seen(settings, images), seen(settings.changed(**{name: value}), images)
    assert {what for what in before if differs(before[what], after[what])} == changes


@pytest.mark.parametrize("graph", [False, True])
def test_graph_alone_chooses_replayed_steps(graph, images, monkeypatch):
    """With a GPU pretended; that replayed steps are right, tests/engine/gpu shows."""
    replayed = object()
    monkeypatch.setattr(cuda_graph, "require_gpu", lambda backend: None)
    monkeypatch.setattr(
        cuda_graph, "stepping", lambda trainer, warn: contextlib.nullcontext(replayed)
    )
    trainer = Trainer(Settings(**BASE | {"graph": graph}), images.train, NUMPY)
    with trainer.engine.running(), stepping(trainer) as step:
        assert (step is replayed) == graph


def test_every_setting_has_a_test():
    assert {*EFFECTS, *ELSEWHERE} == {each.name for each in fields(Settings)}
    for name, tests in ELSEWHERE.items():
        for file, test in (each.split("::") for each in tests):
            source = (ROOT / file).read_text(encoding="utf-8")
            found = {node.name: node for node in ast.parse(source).body if hasattr(node, "name")}
            assert name in ast.unparse(found[test]), f"{test} does not name {name}"
