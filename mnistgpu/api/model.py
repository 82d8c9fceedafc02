"""A trained network as people hold it: it answers, reads pictures, and is loaded and saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    directory_of,
    labelled_digits,
    network_of,
)
from mnistgpu.backend import NUMPY, Backend
from mnistgpu.data import arrays
from mnistgpu.errors import UsageError
from mnistgpu.models import committee, model
from mnistgpu.models.committee import Committee
from mnistgpu.storage import files

if TYPE_CHECKING:
    from mnistgpu.network import Layer
    from mnistgpu.pictures.answers import Answer
    from mnistgpu.reports.evaluation import Evaluation


class Model:
    """A trained network, or a committee of several that answers with the mean of theirs.

    trained: the network itself, of `models.model` or `models.committee`.
    backend: where it computes.

    Images are given as (N, pixels) or (N, H, W), of integers from 0 (paper) to 255 (ink) or of
    floats from 0 to 1; see `data.arrays`. Raises ShapeError or DataError for others.
    """

    def __init__(self, trained: model.Model | Committee, backend: Backend = NUMPY):
        self.trained, self.backend = trained, backend

    @property
    def sizes(self) -> tuple[int, ...]:
        """The layer sizes, such as (784, 10, 10); of a committee those of its first member."""
        return self.trained.sizes

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images that it reads."""
        return self.trained.image_shape

    @property
    def layers(self) -> list[Layer]:
        """[(W_1, b_1), ..., (W_L, b_L)]: weights (n_l, n_{l-1}) and biases (n_l, 1) on the host.

        They are views: weights that change here change the network. UsageError for a committee.
        """
        if isinstance(self.trained, Committee):
            raise UsageError("a committee has no layers of its own; see model.trained.members")
        return self.trained.layers

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each image: (N,) int64 on the host."""
        images, _ = arrays.as_images(X, self.image_shape)
        return self.trained.predict(images, self.backend)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for each image: (N, classes) on the host."""
        images, _ = arrays.as_images(X, self.image_shape)
        probabilities = self.trained.probabilities(images, self.backend)
        return self.backend.to_numpy(probabilities).T

    def evaluate(self, X: Any = None, y: Any = None, *, robustness: bool = False) -> Evaluation:
        """How good it is on labelled images: accuracy, confusion, calibration and more.

        X, y: images and labels (N,), or X alone is a path as for `fit`; without them MNIST's test
        images. robustness: also measure the accuracy on noisy, shifted, rotated and thickened
        copies of 2,000 of them, which takes seconds.
        """
        from mnistgpu.reports import evaluation

        check_switches(robustness=robustness)
        digits = labelled_digits(X, y, self.trained)
        return evaluation.evaluate(self.trained, digits, self.backend, robustness)

    @overload
    def read(self, picture: AnyPath, *, many: Literal[False] = False) -> Answer: ...

    @overload
    def read(self, picture: AnyPath, *, many: Literal[True]) -> list[Answer]: ...

    def read(self, picture: AnyPath, *, many: bool = False) -> Answer | list[Answer]:
        """The digit in a photograph, scan or drawing: `.digit`, `.probability`, `.probabilities`.

        picture: a PNG, JPEG, WebP, BMP or GIF file. many: a list of all its digits, line by line.
        DataError if the file cannot be read, or shows no digit or, without `many`, several.
        """
        from mnistgpu.pictures import answers, images

        check_switches(many=many)
        path = files.path_of(picture, "picture")
        if not images.is_picture(path):
            raise UsageError(f"{picture}: not a picture; give arrays of digits to predict")
        found = list(answers.answers(self.trained, [path], self.backend, many))
        return found if many else found[0]

    def __eq__(self, other: object) -> bool:
        """Whether the other has equal parameters and settings."""
        return self.trained == other.trained if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.trained)

    def __repr__(self) -> str:
        text = repr(self.trained)
        return text if self.backend.name == "numpy" else f"{text[:-1]}, on {self.backend.name}>"


def load(path: AnyPath, *, backend: str | Backend | None = None) -> Model:
    """The network or committee in a run directory or a file; "shipped" is the package's own.

    backend: where it computes, as for `fit`. DataError if nothing is there or it is damaged.
    """
    return Model(network_of(path), backend_of(backend))


def save(given: Any, path: AnyPath, *, force: bool = False) -> Path:
    """Write a model into a file (.safetensors), or a committee into a directory; its path.

    given: a Model, or a Run, whose model is meant. UsageError if something is there already and
    `force` is not given.
    """
    check_switches(force=force)
    trained, path = network_of(given), files.path_of(path, "path")
    if isinstance(trained, Committee):
        directory_of(path)
        sources = [f"member {i}" for i in range(1, len(trained.members) + 1)]
        committee.save(trained, path, sources, force)
        return path
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; name a file, such as {path / 'my.safetensors'}")
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: the name of a model must end in .safetensors")
    if path.exists() and not force:
        raise UsageError(f"{path}: the file exists; choose another or give force=True")
    model.save(trained, path)
    return path
