"""The image at hand on the lab's page, its way through the network, and edits of that network."""

from __future__ import annotations

import base64
import binascii
import threading
from typing import Any

import numpy as np

from mnistgpu.errors import MnistGpuError
from mnistgpu.models import model as models
from mnistgpu.models.edits import Edits
from mnistgpu.models.model import Model
from mnistgpu.models.opened import Unit, opened, responds_most, source_lines
from mnistgpu.pictures import images, preparing
from mnistgpu.web.draw import drawing
from mnistgpu.web.encoded import as_text, signed
from mnistgpu.web.guard import RefusedError
from mnistgpu.web.lab_run import PATIENCE, LabRun
from mnistgpu.web.refusals import choice, number, refusal, text, whole

MOST_PHOTO = 2**24  # bytes of a photograph, as for the pictures that a program holds
MOST_RESPONSES = 10
WITHIN = 0.05  # seconds of computing after which an edit is answered, with the images so far
FACTORS, AMOUNTS = 1000.0, 1000.0  # how far weights can be scaled and biases be shifted


class AtHand:
    """Images, units and edits for the browsers of a page."""

    def __init__(self, run: LabRun):
        self.run, self.digits = run, run.view.digits
        self.lock = threading.Lock()
        self.edits: Edits | None = None
        self.edited_at = (0, -1)  # the run and the step whose network is edited

    def model(self) -> Model:
        """The network as it is now, with its edits; RefusedError if there is none yet."""
        with self.lock:
            if (edits := self.current()) is not None:
                return edits.model
        return self.newest()

    def newest(self) -> Model:
        """The network after the newest step; RefusedError if there is none yet."""
        found: Model = self.run.steering.during(lambda moment: moment.model(), PATIENCE)
        return found

    # --- images

    def image(self, body: dict[str, Any]) -> dict[str, Any]:
        """The image of the test set, or of a drawing, that is asked for."""
        if "pixels" in body:
            ink = drawing(body)
            if not ink.any():
                raise refusal(422, "neuron.blank")
            return self.shown(preparing.prepare(ink, self.digits.image_shape))
        return self.of_test(whole(body, "number", 0, len(self.digits) - 1))

    def of_test(self, index: int) -> dict[str, Any]:
        """An image of the test set, with its label."""
        labels = self.digits.labels
        label = None if labels is None else int(labels[index])
        return self.shown(self.digits.images[index]) | {"number": index, "label": label}

    def mistake(self, body: dict[str, Any]) -> dict[str, Any]:
        """The next image of the test set, after a number, that the network gets wrong."""
        after = whole(body, "after", -1, len(self.digits) - 1)
        labels = self.digits.labels
        assert labels is not None
        wrong = np.flatnonzero(self.model().predict(self.digits.images) != labels)
        if len(wrong) == 0:
            raise refusal(409, "neuron.no_mistake")
        later = wrong[wrong > after]
        return self.of_test(int(later[0] if len(later) else wrong[0]))

    def photo(self, content: bytes) -> dict[str, Any]:
        """The digit in a photograph; RefusedError if there is none, or more than one."""
        from mnistgpu.pictures import decode

        try:
            levels = decode.decode(content, "the photograph")
            found = images.find(levels, self.digits.image_shape, where="the photograph")
        except MnistGpuError as error:
            raise RefusedError(422, str(error)) from None
        return self.shown(found.images[0])

    def shown(self, image: np.ndarray) -> dict[str, Any]:
        """An image (pixels,) as the page takes it, and sends it back."""
        height, width = self.digits.image_shape
        return {"pixels": as_text(image), "height": height, "width": width}

    def pixels(self, body: dict[str, Any]) -> np.ndarray:
        """The image (pixels,) uint8 that a page sends back."""
        count = self.digits.images.shape[1]
        try:
            content = base64.b64decode(text(body, "image", 2 * count + 8), validate=True)
        except (ValueError, binascii.Error):
            content = b""
        if len(content) != count:
            raise RefusedError(422, f"image must be {count:,} bytes in base64")
        return np.frombuffer(content, np.uint8)

    # --- the way of an image through the network

    def activations(self, body: dict[str, Any]) -> dict[str, Any]:
        """What every layer makes of an image."""
        trained, image = self.model(), self.pixels(body)
        found = opened(trained, image)
        shares = found.activations[-1]
        return {
            "step": self.run.steering.state()["taken"],
            "answer": int(np.argmax(shares)),
            "probabilities": [float(share) for share in shares],
            "layers": [
                {
                    "units": len(values),
                    "most": float(np.max(np.abs(values))),
                    "levels": signed(np.asarray(values, dtype=np.float64)),
                }
                for values in found.activations[1:]
            ],
        }

    def unit(self, body: dict[str, Any]) -> dict[str, Any]:
        """A unit opened: its sum with the numbers of an image."""
        trained, image = self.model(), self.pixels(body)
        layer = whole(body, "layer", 1, len(trained.sizes) - 1)
        unit = whole(body, "unit", 0, trained.sizes[layer] - 1)
        return unit_as_json(trained, opened(trained, image).unit(layer, unit))

    def responds(self, body: dict[str, Any]) -> dict[str, Any]:
        """The images of the test set that a unit responds to most."""
        trained = self.model()
        layer = whole(body, "layer", 1, len(trained.sizes) - 1)
        unit = whole(body, "unit", 0, trained.sizes[layer] - 1)
        indices, values = responds_most(trained, self.digits.images, layer, unit, MOST_RESPONSES)
        return {
            "images": [
                self.of_test(int(index)) | {"value": float(value)}
                for index, value in zip(indices, values, strict=True)
            ]
        }

    # --- edits

    def current(self) -> Edits | None:
        """The edits, unless the run has gone on since then: then they are discarded."""
        state = self.run.steering.state()
        if self.edits is not None and self.edited_at != (self.run.number, state["taken"]):
            self.edits = None
            self.run.notice("", "edit.dropped")
        return self.edits

    def edit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Edit the network: training rests, and the accuracy on the test images is measured."""
        what = choice(body, "what", EDITS)
        with self.lock:
            edits = self.begun()
            sizes = edits.model.sizes
            if what in ("undo", "reset"):
                edits.undo() if what == "undo" else edits.reset()
            elif what == "prune":
                layer = whole(body, "layer", 1, len(sizes) - 1)
                edits.prune(layer, number(body, "value", 0.0, 1.0))
            else:
                layer = whole(body, "layer", 1, len(sizes) - 1)
                unit = whole(body, "unit", 0, sizes[layer] - 1)
                if what == "off":
                    edits.switch_off(layer, unit)
                elif what == "scale":
                    edits.scale(layer, unit, number(body, "value", -FACTORS, FACTORS))
                else:
                    edits.shift(layer, unit, number(body, "value", -AMOUNTS, AMOUNTS))
            return self.edited()

    def begun(self) -> Edits:
        """The edits of the network as it is now; training rests from here on."""
        if (edits := self.current()) is not None:
            return edits
        self.run.steering.pause()
        model = self.newest()
        state = self.run.steering.state()
        self.edits = Edits(model, self.digits, WITHIN)
        self.edited_at = (self.run.number, state["taken"])
        return self.edits

    def rest(self, body: dict[str, Any]) -> dict[str, Any]:
        """Judge more of the test images by the edited network."""
        with self.lock:
            if (edits := self.current()) is not None:
                edits.go_on()
            return self.edited()

    def edited(self) -> dict[str, Any]:
        """What was edited, and what the network reaches."""
        edits = self.edits
        layers = len(self.run.settings().sizes) - 1
        if edits is None:
            none: dict[str, Any] = {"accuracy": None, "before": None, "images": 0, "judged": 0}
            return {"edits": [], "seconds": [], "layers": layers, **none}
        return {
            "edits": edits.list,
            "accuracy": edits.accuracy,
            "before": edits.before,
            "images": len(self.digits),
            "judged": edits.judged,
            "layers": layers,
            "seconds": [edits.seconds(layer) for layer in range(1, layers + 1)],
        }

    def save(self, body: dict[str, Any]) -> dict[str, Any]:
        """Save the edited network beside the run; its file says what was edited."""
        with self.lock:
            if (edits := self.current()) is None or not edits.list:
                raise refusal(409, "edit.nothing")
            folder = self.run.plan.path
            number_of = 1
            while (path := folder / f"edited-{number_of}.safetensors").exists():
                number_of += 1
            models.save(edits.model, path)
        return {"path": str(path)}


EDITS = ("off", "scale", "shift", "prune", "undo", "reset")


def unit_as_json(trained: Model, unit: Unit) -> dict[str, Any]:
    """A unit as the page draws it: its map, its largest contributions, its sum and what follows."""
    height, width = trained.image_shape
    found: dict[str, Any] = {
        "layer": unit.layer,
        "unit": unit.unit,
        "inputs": len(unit.inputs),
        "bias": float(unit.bias),
        "sum": float(unit.sum),
        "products": float(unit.products.sum()),
        "value": float(unit.activation),
        "slope": None if unit.slope is None else float(unit.slope),
        "activation": trained.activation,
        "largest": [
            {
                "index": int(each.index),
                "weight": float(each.weight),
                "input": float(each.input),
                "product": float(each.product),
            }
            for each in unit.largest
        ],
        "rest": float(unit.rest),
        "lines": source_lines(),
        "last": None,
        "map": None,
    }
    if unit.layer == 1:
        found["map"] = {
            "height": height,
            "width": width,
            "weights": signed(unit.weights),
            "weights_limit": float(np.max(np.abs(unit.weights))),
            "products": signed(unit.products),
            "products_limit": float(np.max(np.abs(unit.products))),
        }
    if unit.exponentials is not None and unit.logits is not None:
        found["last"] = {
            "shift": float(unit.logits.max()),
            "exponentials": [float(each) for each in unit.exponentials],
            "total": unit.total,
            "probability": unit.probability,
        }
    return found
