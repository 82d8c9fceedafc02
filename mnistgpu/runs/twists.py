"""Runs with something changed on purpose, to see what it does: a closed list of twists by name.

A twist is no setting. It changes the training data, the first weights or the gradient before they
reach the loop, so that data, engine and loop stay as they are. The experiments of the lab name
twists in their files.

    chosen = {"zero-weights": True, "shuffled-labels": 0.5}
    changed, callbacks = twists.applied(chosen, dataset, settings.seed)
    train(settings, changed, backend, callbacks)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnistgpu import counter_rng, network
from mnistgpu.backend import Array
from mnistgpu.data import Dataset, Digits
from mnistgpu.data import twists as of_data
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError, did_you_mean
from mnistgpu.knobs import Check
from mnistgpu.maths import mistakes
from mnistgpu.maths.optimizers import Numbers, State
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress
from mnistgpu.runs.stop import Stop


class FirstWeights(Callback):
    """Begins a run with other parameters: those that `make` gives for its trainer."""

    def __init__(self, make: Callable[[Trainer], Array]):
        self.make = make

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        first = self.make(trainer)
        # asked for again when fast steps are compared with plain ones
        trainer.first_parameters = lambda sizes: first + 0.0  # type: ignore[method-assign]
        trainer.theta[...] = first


class WrongGradient(Callback):
    """Lets every step of a run use another gradient: what `change` makes of [(dW_1, db_1), ...]."""

    def __init__(self, change: Callable[[Sequence[network.Layer]], list[network.Layer]]):
        self.change = change

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        apply, sizes = trainer.optimizer.apply, trainer.engine.sizes
        count = network.parameter_count(sizes)  # after them those of a decoder may follow

        def changed(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
            changes = self.change(network.layers(gradient[:count], sizes))
            gradient[:count] = network.flatten(changes)
            apply(theta, gradient, state, numbers)

        trainer.optimizer = replace(trainer.optimizer, apply=changed)
        # one worker: processes that share a step update parts of the vector, which are no layers
        trainer.workers = 1
        del trainer.engine.shards[1:]


def zero_weights(trainer: Trainer) -> Array:
    """All weights and biases 0: theta of the trainer's network."""
    return trainer.theta * 0.0


def weights_of_another_seed(trainer: Trainer, further: int) -> Array:
    """The first parameters of the seed that is so much higher, as `Trainer` draws them."""
    own, seed = trainer.key, trainer.settings.seed + further
    try:
        trainer.key = counter_rng.key(seed, like=own.like)
        return trainer.first_parameters(trainer.engine.sizes) + 0.0
    finally:
        trainer.key = own


@dataclass(frozen=True)
class Twist:
    """What a twist does, and which values it may have in a file.

    data: digits, value and seed to other digits; of_test says whether the images for validation and
    test are changed too. callback: a value to what `train` calls.
    """

    help: str
    check: Check
    data: Callable[[Digits, Any, int], Digits] | None = None
    of_test: bool = False
    callback: Callable[[Any], Callback] | None = None


ON = Check(lambda value: value is True, "true")
SHARE = Check(
    lambda value: type(value) in (int, float) and 0 < value <= 1,
    "a share greater than 0, up to 1",
)
FURTHER = Check(lambda value: type(value) is int and 0 < value < 1000, "a whole number below 1000")
TIMES = Check(
    lambda value: type(value) is str and of_data.COPIES.fullmatch(value) is not None,
    'such as "40 x 7"',
)

TWISTS = {
    "zero-weights": Twist(
        "All weights and biases are 0 before the first step.",
        ON,
        callback=lambda value: FirstWeights(zero_weights),
    ),
    "other-first-weights": Twist(
        "First weights of the seed that is so much higher; images and their order stay the same.",
        FURTHER,
        callback=lambda value: FirstWeights(lambda made: weights_of_another_seed(made, value)),
    ),
    "unscaled-pixels": Twist(
        "Pixels from 0 to 255, not divided by 255.",
        ON,
        data=lambda digits, value, seed: of_data.unscaled_pixels(digits),
        of_test=True,
    ),
    "shuffled-labels": Twist(
        "This share of the training labels is exchanged among the images at random.",
        SHARE,
        data=of_data.shuffled_labels,
    ),
    "copies-of-a-digit": Twist(
        'Training images of one digit are repeated: "40 x 7" is 40 images of a 7 for each other.',
        TIMES,
        data=lambda digits, value, seed: of_data.copies_of_a_digit(digits, value),
    ),
    "bias-gradient-over-everything": Twist(
        "The gradient of the biases is summed over images and units, np.sum(dZ) without an axis.",
        ON,
        callback=lambda value: WrongGradient(mistakes.bias_gradients_over_everything),
    ),
}


def check(twists: Mapping[str, Any]) -> None:
    """UsageError for a name that is none of TWISTS, or a value that the twist may not have."""
    for name, value in twists.items():
        if name not in TWISTS:
            hint = did_you_mean(name, TWISTS)
            raise UsageError(
                f"there is no twist {str(name)[:40]!r}: choose one of {', '.join(TWISTS)}{hint}"
            )
        if not TWISTS[name].check.test(value):
            wanted = TWISTS[name].check.words
            raise UsageError(f"the twist {name} must be {wanted}, not {value!r}")


def applied(
    twists: Mapping[str, Any], dataset: Dataset, seed: int
) -> tuple[Dataset, list[Callback]]:
    """The set that a run with these twists trains on, and what `train` must call besides.

    Give images for the validation in the set: those that a run holds out of the training images
    would be changed with them. UsageError for an unknown twist or a wrong value.
    """
    check(twists)
    callbacks: list[Callback] = []
    for name, value in twists.items():
        twist = TWISTS[name]
        if twist.data is not None:
            changed = twist.data(dataset.train, value, seed)
            dataset = replace(dataset, train=changed)
            if twist.of_test:
                others = (dataset.test, dataset.validation)
                test, validation = (
                    None if other is None else twist.data(other, value, seed) for other in others
                )
                dataset = replace(dataset, test=test, validation=validation)
        if twist.callback is not None:
            callbacks.append(twist.callback(value))
    return dataset, callbacks
