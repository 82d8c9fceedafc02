"""A trained network as people hold it: it answers, reads pictures, and is loaded and saved."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mnistgpu.api import in_memory
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    directory_of,
    is_path,
    network_of,
    warn_of,
)
from mnistgpu.api.own_data import digits_to_judge
from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.data import arrays
from mnistgpu.data.classes import names_of
from mnistgpu.errors import UsageError
from mnistgpu.models import committee, model
from mnistgpu.models.committee import Committee
from mnistgpu.runs.origin import Origin
from mnistgpu.settings import from_dict
from mnistgpu.storage import files, tensor_file

if TYPE_CHECKING:
    from mnistgpu.network import Layer
    from mnistgpu.pictures.answers import Answer
    from mnistgpu.reports.evaluation import Evaluation


class Model:
    """A trained network, or a committee of several that answers with the mean of theirs.

    trained: the network itself, of `models.model` or `models.committee`.
    backend: where it computes.
    origin: what it was trained on, or the path that it was loaded from; None if neither is known.

    Images are given as one (H, W) or many (N, pixels), (N, H, W) or (N, H, W, 3), in arrays of any
    library, lists or tables, with the grey levels of the images that it was trained on or floats
    from 0 to 1; see `data.arrays`. Raises ShapeError or DataError for others.
    """

    def __init__(
        self,
        trained: model.Model | Committee,
        backend: Backend = NUMPY,
        origin: Origin | AnyPath | None = None,
    ):
        if not isinstance(trained, (model.Model, Committee)):
            raise UsageError(
                f"a Model is not made of a {type(trained).__name__}; get one with mnistgpu.load, "
                "fit or committee"
            )
        self.trained, self.backend, self.origin = trained, backend, origin

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

    @property
    def classes(self) -> tuple[str | int, ...]:
        """The names of the classes, in the order of the outputs: (0, ..., 9) of digits."""
        return self.trained.classes or tuple(range(self.sizes[-1]))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each image, by its name: (N,), strings or int64."""
        answers = self.trained.predict(self._rows(X), self.backend)
        return names_of(self.trained.classes, answers)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each of `classes` for each image: (N, classes) on the host."""
        probabilities = self.trained.probabilities(self._rows(X), self.backend)
        return self.backend.to_numpy(probabilities).T

    def _rows(self, X: Any) -> Array:
        """Images as uint8 rows, after warnings of what was recognised."""
        if in_memory.is_encoded(X):
            from mnistgpu.pictures import images as pictures

            with in_memory.as_file(X) as path:
                X = pictures.read_as_is(path, self.image_shape).images
        images, notes = arrays.as_images(X, self.trained, "X", self.backend)
        if notes:
            warn_of(notes)
        return images

    def evaluate(self, X: Any = None, y: Any = None, *, robustness: bool = False) -> Evaluation:
        """How good it is on labelled images: accuracy, confusion, calibration and more.

        X, y: images and labels (N,), or X alone is a path as for `fit`; without them the test part
        of what it was trained on, or the images held out for validation. robustness: also measure
        the accuracy on noisy, shifted, rotated and thickened copies of 2,000 of them, which takes
        seconds.
        """
        from mnistgpu.reports import evaluation

        check_switches(robustness=robustness)
        digits = digits_to_judge([self], X, y, [self.trained])
        return evaluation.evaluate(self.trained, digits, self.backend, robustness)

    @overload
    def read(self, picture: Any, *, many: Literal[False] = False) -> Answer: ...

    @overload
    def read(self, picture: Any, *, many: Literal[True]) -> list[Answer]: ...

    def read(self, picture: Any, *, many: bool = False) -> Answer | list[Answer]:
        """The digit in a photograph, scan or drawing: `.digit`, `.probability`, `.status`.

        picture: the path of a file such as a JPEG or PNG, its bytes, an open file, a picture of
        Pillow, or an array (H, W) or (H, W, 3) of its levels. many: a list of all its digits, line
        by line. DataError if it cannot be read, or shows no digit or, without `many`, several.
        """
        from mnistgpu.pictures import answers, decode

        check_switches(many=many)
        if not is_path(picture):
            with in_memory.as_file(picture) as path:
                found = list(answers.answers(self.trained, [path], self.backend, many))
            name = in_memory.name_of(picture)
            found = [replace(each, name=each.name.replace(str(path), name)) for each in found]
            return found if many else found[0]
        path = files.path_of(picture, "picture")
        if not decode.is_picture(path):
            raise UsageError(f"{picture}: not a picture; give arrays of digits to predict")
        found = list(answers.answers(self.trained, [path], self.backend, many))
        return found if many else found[0]

    def __eq__(self, other: object) -> bool:
        """Whether the other has equal parameters and settings."""
        return self.trained == other.trained if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.trained)

    def _repr_html_(self) -> str:
        """For notebooks: a card that says what the network is and how it was trained."""
        facts = card(self.trained)
        rows = [
            f"<tr><th style='text-align: left'>{html.escape(name)}</th>"
            f"<td style='text-align: left'>{html.escape(text)}</td></tr>"
            for name, text in facts.items()
        ]
        return f"<table>{''.join(rows)}</table>"

    def __repr__(self) -> str:
        text = repr(self.trained)
        return text if self.backend.name == "numpy" else f"{text[:-1]}, on {self.backend.name}>"


def card(trained: model.Model | Committee) -> dict[str, str]:
    """What a network is and how it was trained, in words."""
    first = trained.members[0] if isinstance(trained, Committee) else trained
    layers = "-".join(map(str, first.sizes))
    height, width = first.image_shape
    facts = {
        "network": f"{layers}, {len(first.theta):,} parameters, {first.activation}",
        "images": f"{height}x{width}, {first.sizes[-1]} classes",
    }
    if isinstance(trained, Committee):
        facts["committee"] = f"of {len(trained.members)}; the card is of the first"
    if first.settings:
        used = from_dict(first.settings, "model")  # a file may leave out those with their default
        length = f"{used.epochs} epochs" if used.epochs else f"{used.iterations} iterations"
        facts["training"] = (
            f"{used.optimizer}, alpha {used.learning_rate:g}, {length}, seed {used.seed}"
        )
    if first.data_digest:
        facts["data"] = f"digest {first.data_digest[:16]}"
    return facts


def load(path: AnyPath, *, backend: str | Backend | None = None) -> Model:
    """The network or committee in a run directory or a file; "shipped" is the package's own.

    backend: where it computes, as for `fit`. DataError if nothing is there or it is damaged.
    """
    return Model(network_of(path), backend_of(backend), path)


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
    files.check_replaceable("path", path, tensor_file.mark(model.FORMAT))
    model.save(trained, path)
    return path
