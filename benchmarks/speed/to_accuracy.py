"""The recipe `fast`, whole: this project against PyTorch with fused Adam.

The same net, first weights, pixels, batch order, targets and schedule. The time is that of the
training loop; images are cropped and centred before it starts, for both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mnistgpu import data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine import inference
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import optimizers
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import training
from speed import peers
from speed.clock import stopwatch
from speed.peers import pytorch
from speed.tasks import SEED, mnist

SETTINGS = RECIPES["fast"].settings
TARGET = 0.98


@dataclass
class Run:
    """The time of a run, and its accuracy on the test set."""

    seconds: float
    accuracy: float


def this_project(train: data.Digits, seed: int) -> Run:
    """`training.train`, with the time that it reports."""
    dataset = data.Dataset(train, mnist().test, "the benchmark's images")
    outcome = training.train(SETTINGS.changed(seed=seed), dataset, NUMPY)
    return Run(outcome.results["seconds"], outcome.results["test_accuracy"])


def torch_fused(train: data.Digits, seed: int) -> Run:
    """PyTorch, with the inputs and labels that a `Trainer` of this project trains on."""
    import torch

    trainer = Trainer(SETTINGS.changed(seed=seed), train, NUMPY)
    engine = trainer.engine
    A = engine.inputs.columns(engine.images, engine.labels, Chance({}, deform=False), np.float32)
    A *= engine.inputs.factor
    X, labels = torch.from_numpy(np.ascontiguousarray(A.T)), torch.from_numpy(engine.labels)
    net = pytorch.network(torch, network.layers(trainer.theta, trainer.engine.sizes))
    adam = torch.optim.Adam(net.parameters(), lr=1.0, fused=True)
    smoothing = SETTINGS.label_smoothing
    batches = [torch.from_numpy(trainer.batches.rows(step)) for step in range(trainer.steps)]

    def train_all() -> None:
        for step, rows in enumerate(batches):
            adam.param_groups[0]["lr"] = optimizers.learning_rate(
                SETTINGS.learning_rate, SETTINGS.schedule, SETTINGS.warmup, step, trainer.steps
            )
            adam.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                net(X[rows]), labels[rows], label_smoothing=smoothing
            )
            loss.backward()
            adam.step()

    seconds = stopwatch(train_all)
    theta = np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])
    plain = engine.plain(theta)
    test = mnist().test
    Z = inference.logits(plain, SETTINGS.sizes, SETTINGS.activation, test.images)
    return Run(seconds, float(np.mean(Z.argmax(axis=0) == test.labels)))


SYSTEMS: dict[str, Callable[[data.Digits, int], Run]] = {
    peers.THIS_PROJECT: this_project,
    peers.FUSED: torch_fused,
}


def runs(repeats: int, images: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Runs of each system, one seed each time, in turn; and why a system is missing."""
    train = mnist().train
    if images < len(train):
        train = dataclasses.replace(
            train, images=train.images[:images], labels=train.labels[:images]
        )
    found: dict[str, list[Run]] = {name: [] for name in SYSTEMS}
    missing: dict[str, str] = {}
    for repeat in range(repeats):
        for name, run in SYSTEMS.items():
            if name in missing:
                continue
            try:
                found[name].append(run(train, SEED + repeat))
            except ImportError as error:
                missing[name] = f"{type(error).__name__}: {error}"
    return {name: list_ for name, list_ in found.items() if list_}, missing
