"""A trained network: its parameters and layer sizes, and the settings and data they came from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.data.classes import check_names
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.engine import exact_inference, inference
from mnistgpu.errors import DataError, RunError, ShapeError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.calibration import Calibration
from mnistgpu.settings import from_dict
from mnistgpu.storage import files, tensor_file

FILE = "model.safetensors"  # in a run directory
FORMAT = "mnistgpu-model"
FORMAT_VERSION = 1
EXPORTED = (".h", ".html", ".json", ".npz", ".onnx")  # no model files, see `load`
LISTS = ("events", "edits")  # texts with what was done to a network while it learned, and after
HALVED = 2  # the format of files with float16, which 0.1.0 cannot read


@dataclass(frozen=True, eq=False)
class Model:
    """Parameters theta (parameter_count,) of a network of `sizes`, and how they were trained.

    `settings` are those of the training, `data_digest` is that of its data; both are saved, as are
    `classes` and `levels`, by which later labels and images are read.
    `calibration` says how far its probabilities can be believed; None if nothing was held out.
    """

    theta: np.ndarray
    sizes: tuple[int, ...]
    image_shape: tuple[int, int] = (28, 28)
    activation: str = "relu"
    settings: dict[str, Any] = field(default_factory=dict)
    data_digest: str = ""
    classes: tuple[str | int, ...] = ()  # the name of each output; () if its number is its name
    levels: Levels = OURS  # what paper and ink were in the images to train on
    calibration: Calibration | None = None
    events: tuple[dict[str, Any], ...] = ()  # changes of the settings during the training
    edits: tuple[dict[str, Any], ...] = ()  # of the trained network, see `edits`
    made: str = ""  # how, in a sentence, if not by one training run with `settings`

    @property
    def orientation(self) -> str:
        """How files store their images, as they were read for the training; see `data.load`."""
        found: str = self.settings.get("orientation", "by-name")
        return found

    def __repr__(self) -> str:
        return f"<Model {'-'.join(map(str, self.sizes))}, {len(self.theta):,} parameters>"

    def __eq__(self, other: object) -> bool:
        """Whether the other is a model with equal parameters, settings and data."""
        if not isinstance(other, Model):
            return NotImplemented
        rest = [each.name for each in fields(self) if each.name != "theta"]
        return all(getattr(self, name) == getattr(other, name) for name in rest) and np.array_equal(
            self.theta, other.theta
        )

    def __hash__(self) -> int:
        return hash((self.sizes, self.activation, self.data_digest))

    @cached_property
    def layers(self) -> list[network.Layer]:
        """Views [(W_1, b_1), ..., (W_L, b_L)] of theta: weights that change there change here."""
        return network.layers(self.theta, self.sizes)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: the fields. Copied views would no longer be views of theta."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def is_exact(self) -> bool:
        """Whether it was trained with `--precision exact`: then its answers too have the same bits
        whatever computes them.
        """
        return self.settings.get("precision") == "exact"

    @property
    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.theta)

    def logits(self, images: Array, backend: Backend = NUMPY) -> Array:
        """Images (N, pixels) uint8 to logits Z_L (classes, N), on the backend's device."""
        images = backend.asarray(images)
        if images.ndim != 2 or images.shape[1] != self.sizes[0]:
            raise ShapeError(
                f"this model reads images of {self.sizes[0]} pixels as rows, not an array of shape "
                f"{images.shape}"
            )
        params = self.layers
        if backend.xp is not np:
            params = network.layers(backend.asarray(self.theta), self.sizes)
        return inference.of_layers(params, self.activation, images, self.is_exact)

    def probabilities(self, images: Array, backend: Backend = NUMPY) -> Array:
        """Images (N, pixels) uint8 to probabilities (classes, N), on the backend's device."""
        softmax = exact_inference.softmax if self.is_exact else network.softmax
        return softmax(self.logits(images, backend))

    def predict(self, images: Array, backend: Backend = NUMPY) -> np.ndarray:
        """The number of the most probable class of each image: (N,) int64 on the host."""
        return backend.to_numpy(backend.xp.argmax(self.logits(images, backend), axis=0))


def digest_of(theta: np.ndarray) -> str:
    """The SHA-256 of parameters, in their order, as little-endian numbers."""
    numbers = theta.astype(theta.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def save(model: Model, path: Path) -> None:
    """Write a model file: theta as its array, and everything else as texts in its header.

    A theta of float16 takes half the room of float32, as which `load` reads it.
    RunError if the parameters are not finite: `load` would refuse them. An old file then stays.
    """
    if not np.isfinite(model.theta).all():
        raise RunError(
            f"{path}: not written, because the parameters are not finite; train again with a "
            "smaller --alpha"
        )
    texts = {
        "layers": "-".join(map(str, model.sizes)),
        "activation": model.activation,
        "image_shape": "x".join(map(str, model.image_shape)),
        "settings": json.dumps(model.settings, sort_keys=True),
        "data_digest": model.data_digest,
    }
    if model.classes:
        texts["classes"] = json.dumps(model.classes)
    if model.levels != OURS:
        texts["levels"] = json.dumps(model.levels)
    if model.calibration is not None:
        texts["calibration"] = model.calibration.text()
    for name in LISTS:
        if records := getattr(model, name):
            texts[name] = json.dumps(records)
    if model.made:
        texts["made"] = model.made
    version = HALVED if model.theta.dtype == np.float16 else FORMAT_VERSION
    tensor_file.write(path, FORMAT, version, texts, {"theta": model.theta})


def load(path: Path) -> Model:
    """Read a model file, or the model of a run directory; DataError if it contradicts itself."""
    path = Path(path)
    if os.path.isdir(path):
        path = path / FILE
    if path.suffix.lower() in EXPORTED:
        raise DataError(
            f"{path}: no model file (.safetensors); what `mnistgpu export` writes is not read "
            "back, so give the run that was exported"
        )
    if not files.is_file(path):
        raise DataError(
            f"{path}: no model here; give a run directory that `mnistgpu train` has finished, or "
            "finish it with `mnistgpu train --resume`"
        )
    where = str(path)
    return from_texts(
        *tensor_file.read_file(path, FORMAT, HALVED, lambda texts: expected(texts, where)),
        where,
    )


def from_bytes(content: bytes, where: str) -> Model:
    """The model in the bytes of a safetensors file; `where` names it in messages."""
    stream = io.BytesIO(content)
    return from_texts(
        *tensor_file.read(
            stream,
            len(content),
            where,
            FORMAT,
            HALVED,
            lambda texts: expected(texts, where),
        ),
        where,
    )


def from_texts(texts: dict[str, str], tensors: dict[str, np.ndarray], where: str) -> Model:
    """The model of texts and arrays that `expected` found to agree."""
    sizes = sizes_of(texts["layers"], "-", where)
    height, width = sizes_of(texts["image_shape"], "x", where)
    settings = json.loads(texts["settings"])
    theta = tensors["theta"]
    return Model(
        theta.astype(np.float32) if theta.dtype == np.float16 else theta,
        sizes,
        (height, width),
        texts["activation"],
        settings,
        texts["data_digest"],
        classes_of(texts, sizes[-1], where),
        levels_of(texts, where),
        calibration_of(texts, settings, where),
        made=texts.get("made", ""),
        **{name: records_of(texts, name, where) for name in LISTS},
    )


def expected(texts: dict[str, str], where: str) -> dict[str, tensor_file.Expected]:
    """The one array of a model with these texts; DataError if they contradict each other."""
    names = ("layers", "activation", "image_shape", "settings", "data_digest")
    missing = [name for name in names if name not in texts]
    if missing:
        raise DataError(f"{where}: its header lacks {missing[0]!r}; copy it or train it again")
    sizes = sizes_of(texts["layers"], "-", where)
    shape = sizes_of(texts["image_shape"], "x", where)
    if len(sizes) < 2 or len(shape) != 2 or shape[0] * shape[1] != sizes[0]:
        raise DataError(
            f"{where}: layers {texts['layers'][:60]!r} do not fit images of "
            f"{texts['image_shape'][:20]!r}; copy it or train it again"
        )
    if sizes[-1] < 2:
        raise DataError(f"{where}: has one class, but needs two or more; train another model")
    if texts["activation"] not in ACTIVATIONS:
        raise DataError(
            f"{where}: unknown activation {texts['activation'][:40]!r}; upgrade mnistgpu"
        )
    if not re.fullmatch("([0-9a-f]{64})?", texts["data_digest"]):
        raise DataError(f"{where}: its data digest is not a SHA-256; copy it or train it again")
    settings = from_json(texts["settings"])
    if not isinstance(settings, dict):
        raise DataError(f"{where}: its settings are not a JSON object; copy it or train it again")
    if settings:  # a model made by hand may have none
        used = from_dict(settings, f"{where}, settings")
        if used.sizes != sizes or used.activation != texts["activation"]:
            raise DataError(
                f"{where}: its settings belong to another network; copy it or train it again"
            )
    classes_of(texts, sizes[-1], where)
    levels_of(texts, where)
    for name in LISTS:
        records_of(texts, name, where)
    kinds = ("float16", "float32", "float64")
    return {"theta": tensor_file.Expected((network.parameter_count(sizes),), kinds)}


def calibration_of(
    texts: dict[str, str], settings: dict[str, Any], where: str
) -> Calibration | None:
    """The calibration, if there is one; DataError if it needs deformed copies of an image, and the
    network has not been trained with deformations.
    """
    if "calibration" not in texts:
        return None
    found = Calibration.from_text(texts["calibration"], where)
    if found.copies and not (settings and from_dict(settings, where).deformation.is_deforming):
        raise DataError(
            f"{where}: its calibration is for deformed copies of an image, but it was trained "
            "without deformations; copy it or train it again"
        )
    return found


def classes_of(texts: dict[str, str], outputs: int, where: str) -> tuple[str | int, ...]:
    """The names of the outputs; DataError unless they are as many, and different."""
    if "classes" not in texts:
        return ()
    return check_names(from_json(texts["classes"]), where, outputs)


def levels_of(texts: dict[str, str], where: str) -> Levels:
    """The levels of paper and of ink; DataError unless one is 0 and the other is positive."""
    if "levels" not in texts:
        return OURS
    levels = from_json(texts["levels"])
    numbers = isinstance(levels, list) and all(type(each) in (int, float) for each in levels)
    if numbers and len(levels) == 2 and min(levels) == 0 < max(levels) < 2**16:
        return Levels(*levels)
    raise DataError(
        f"{where}: its grey levels are not those of paper and ink; copy it or train it again"
    )


def records_of(texts: dict[str, str], name: str, where: str) -> tuple[dict[str, Any], ...]:
    """What was done to a network, in the order of time; DataError if it is no list of objects."""
    if name not in texts:
        return ()
    found = from_json(texts[name])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise DataError(
            f"{where}: what it says under {name!r} is not what mnistgpu writes; copy it or train "
            "it again"
        )
    return tuple(found)


def from_json(text: str) -> Any:
    """The value of a text in JSON; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def sizes_of(text: str, separator: str, where: str) -> tuple[int, ...]:
    """Sizes joined by a separator, as 784-10-10 or 28x28."""
    if not re.fullmatch(f"[1-9][0-9]{{0,8}}({separator}[1-9][0-9]{{0,8}}){{1,99}}", text):
        raise DataError(f"{where}: {text[:60]!r} is not a list of sizes; copy it or train it again")
    return tuple(int(size) for size in text.split(separator))
