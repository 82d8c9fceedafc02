"""A training run that begins with a trained network, on other data or with other classes.

What it begins with is the plain network that a run saves: batch normalisation and left-out pixels
are in its weights already. Its layers but the last are taken over; the last one is, too, if the
classes are the same, and otherwise begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.counter_rng import INIT
from mnistgpu.data import Dataset
from mnistgpu.data.classes import shown
from mnistgpu.errors import UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.model import Model
from mnistgpu.recipes import named
from mnistgpu.settings import PRECISIONS, Settings, from_dict


@dataclass(frozen=True, eq=False)
class Start:
    """A trained network, and what messages and settings call it."""

    model: Model
    name: str

    def settings(self, recipe: str | None) -> Settings:
        """The settings to begin with: those of the network's training, or of the recipe if given.

        Layers and activation are the network's. Those which belong to its data, its machine or the
        first steps of its training are not taken over.
        """
        trained = self.model.settings
        begun = named("classic").settings
        if recipe is not None:
            begun = named(recipe).settings
        elif trained:
            begun = from_dict(trained, self.name)
        return begun.changed(
            layers=self.model.sizes,
            activation=self.model.activation,
            precision=PRECISIONS[begun.precision],
            orientation="by-name",
            graph=False,
            batch_norm=False,
            consistency=0.0,
            denoising=0.0,
            information=0.0,
            min_ink=0.0,
            test_share=0.0,
            class_weight="none",
            unlabeled=None,
            teacher=None,
            from_run=None,
            freeze=0,
        )

    def check(self, settings: Settings, dataset: Dataset) -> None:
        """UsageError if a run with these settings on these data cannot begin with the network."""
        sizes, own = settings.sizes, self.model.sizes
        if dataset.train.image_shape != self.model.image_shape:
            here, there = (
                f"{height}x{width}"
                for height, width in (dataset.train.image_shape, self.model.image_shape)
            )
            raise UsageError(
                f"--from {self.name}: reads images of {there} pixels, but those of "
                f"{dataset.source} have {here}; give images of {there}"
            )
        if sizes[:-1] != own[:-1]:
            raise UsageError(
                f"--layers {settings.layers} does not fit --from {self.name}, whose layers are "
                f"{'-'.join(map(str, own))}: all but the last must be the same; leave --layers out"
            )
        if settings.activation != self.model.activation:
            raise UsageError(
                f"--activation {settings.activation} does not fit --from {self.name}, which was "
                f"trained with {self.model.activation}; leave --activation out"
            )
        for flag, given, why in (
            ("--batch-norm", settings.batch_norm, "has its normalisation in its weights already"),
            ("--min-ink", settings.min_ink > 0, "reads all pixels"),
        ):
            if given:
                raise UsageError(
                    f"{flag} cannot be given with --from: a network that was trained {why}; leave "
                    f"{flag} out"
                )
        if settings.is_exact:
            raise UsageError(
                "--precision exact cannot be given with --from: its digest follows from settings "
                "and data alone; choose float64"
            )
        if settings.freeze >= len(sizes) - 1:
            raise UsageError(
                f"--freeze {settings.freeze} leaves no layer to train: the network has "
                f"{len(sizes) - 1}; keep fewer"
            )

    def keeps_last(self, settings: Settings, dataset: Dataset) -> bool:
        """Whether the last layer is taken over: the classes are the same."""
        same = settings.sizes[-1] == self.model.sizes[-1]
        return same and dataset.train.classes == self.model.classes

    def note(self, settings: Settings, dataset: Dataset) -> str:
        """What is said if the last layer is not taken over; "" if it is."""
        if self.keeps_last(settings, dataset):
            return ""
        before, now = (
            shown(names or range(count))
            for names, count in (
                (self.model.classes, self.model.sizes[-1]),
                (dataset.train.classes, settings.sizes[-1]),
            )
        )
        return (
            f"the last layer is new, since the classes are {now}; those of {self.name} are {before}"
        )

    def line(self, settings: Settings) -> str:
        """What the network is, for the lines at the beginning of a run."""
        line = f"from      {self.name}, digest {self.model.digest[:16]}"
        if settings.freeze:
            line += f"; the first {settings.freeze} of its layers stay as they are"
        return line

    def parameters(self, settings: Settings, dataset: Dataset) -> np.ndarray:
        """The parameters of the plain network (parameter_count,) that the run begins with."""
        sizes = settings.sizes
        kept: Sequence[network.Layer] = self.model.layers
        if not self.keeps_last(settings, dataset):
            key = counter_rng.key(settings.seed, like=NUMPY.asarray(0.0))
            gain = ACTIVATIONS[settings.activation].gain
            last = sizes[-2:]
            theta = network.init(counter_rng.fold_in(key, INIT), last, "he", "float32", gain)
            kept = [*kept[:-1], *network.layers(theta, last)]
        return np.concatenate(
            [array.reshape(-1) for layer in kept for array in layer], dtype=settings.dtype
        )
