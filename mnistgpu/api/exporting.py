"""A trained network for other programs: ONNX, arrays, JSON, C, a page, a folder for the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mnistgpu import data
from mnistgpu.api import reading, unlabeled
from mnistgpu.api.inputs import AnyPath, check_switches, directory_of, is_path, network_of
from mnistgpu.api.own_data import digits_to_judge, members_of, name_of, origin_of
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError, UsageError, did_you_mean, warn
from mnistgpu.interop import c_header, card, exported, hub, onnx_file, plain_files
from mnistgpu.interop.exported import Exported
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs import stopped
from mnistgpu.runs.events import Event, Events
from mnistgpu.runs.origin import Origin
from mnistgpu.storage import files
from mnistgpu.web import about, alone


class Form(NamedTuple):
    """A form of file: what makes its content, of a network, a path and a kind of input, and the
    mark by which an older file of it may be replaced.
    """

    content: Callable[[Exported, Path, str], bytes]
    mark: bytes


def page(network: Exported, path: Path, kind: str) -> bytes:
    """The drawing page with the network in it."""
    trained = network.members[0] if len(network.members) == 1 else Committee(network.members)
    members = [(each.activation, exported.layers_of(each)) for each in network.members]
    return alone.page(about.described(trained, path.stem), members, network.facts).encode()


FORMS = {
    ".onnx": Form(lambda network, path, kind: onnx_file.content(network, kind), onnx_file.MARK),
    ".npz": Form(lambda network, path, kind: plain_files.npz(network), plain_files.NPZ_MARK),
    ".json": Form(lambda network, path, kind: plain_files.as_json(network), plain_files.JSON_MARK),
    ".h": Form(lambda network, path, kind: c_header.content(network, path.name), c_header.MARK),
    ".html": Form(page, alone.MARK),
}


def export(
    model: Any,
    path: AnyPath,
    X: Any = None,
    y: Any = None,
    *,
    input: str | None = None,
    hub: bool = False,
    force: bool = False,
) -> Path:
    """Write a trained network for another program; the path of what was written.

    model: a Model, a Run, or the path of one; "shipped" is the package's own. Of a run that is not
    finished it is the network of its checkpoint: a warning and the file say how far that is.
    path: the name of the file, whose ending says what it is:
        .onnx   for onnxruntime and others; needs the extra `onnx`
        .npz    plain arrays of NumPy
        .json   the same numbers for everything else
        .h      a C header with functions that answer
        .html   a page on which one draws a digit, and which answers without internet
    input: of .onnx: "uint8" (by default), for images as those of the training, or "float", for
        floats from 0 to 1.
    hub: write a folder as the Hugging Face Hub has it: model.safetensors, config.json and a model
        card. X, y: labelled digits to measure its accuracy on, as for `evaluate`.
    force: replace an older export.

    Raises UsageError for a wrong call, if something is at path, or for what a form of file cannot
    hold; DataError if no network can be read; RunError if the file cannot be written.
    """
    check_switches(hub=hub, force=force)
    if hub:
        if input is not None:
            raise UsageError("--input is for .onnx files; leave it out with --hub")
        return to_folder(model, path, X, y, force)
    if X is not None or y is not None:
        raise UsageError("--data is for the model card of --hub; leave it out for a file")
    place = files.path_of(path, "path")
    form = form_of(place)
    if input is not None and place.suffix.lower() != ".onnx":
        raise UsageError("--input is for .onnx files; leave it out for others")
    if input is not None and input not in exported.INPUTS:
        names = " or ".join(exported.INPUTS)
        raise UsageError(
            f"--input must be {names}, not {input!r}{did_you_mean(input, exported.INPUTS)}"
        )
    if place.is_dir():
        raise UsageError(f"{place}: is a folder; give the name of a file")
    if place.exists() and not force:
        raise UsageError(f"{place}: the file exists; choose another or add --force")
    files.check_ours("path", place, place.suffix.lower(), form.mark)
    trained, how_far = network_and_how_far(model)
    content = form.content(exported.of(trained, how_far), place, input or "uint8")
    files.replace_bytes(place, content)
    return place


def form_of(path: Path) -> Form:
    """The form of a file by its ending; UsageError for any other."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        mend = ", or add --hub for a folder"
        if path.suffix == ".safetensors":
            mend = "; mnistgpu.save writes .safetensors, which every run has as well"
        raise UsageError(f"{path}: the name must end in one of {', '.join(FORMS)}{mend}")
    return form


def network_and_how_far(given: Any) -> tuple[Model | Committee, str]:
    """The network of `network_of`, and how far its run is: "" if it was finished."""
    if is_path(given) and str(given) != "shipped" and stopped.is_stopped(Path(given)):
        trained, _, how_far = stopped.read(Path(given), reading.load_data, unlabeled.complete)
        warn(stopped.sentence(Path(given), how_far))
        return trained, how_far
    how_far = ""
    if getattr(given, "stopped", False):
        changes = [Event(**each) for each in given.results.get("events", ())]
        events = Events(given.settings, changes)
        how_far = stopped.of_run(given.results["iterations"], events, given.dataset)
        warn(stopped.sentence(repr(given), how_far))
    return network_of(given), how_far


def to_folder(model: Any, path: AnyPath, X: Any, y: Any, force: bool) -> Path:
    """Write a folder for the Hub, with a card that says how good the network is."""
    place = directory_of(path)
    trained, how_far = network_and_how_far(model)
    hub.check_free(place, trained, force)
    exported.of(trained, how_far)  # refuses what could not be exported as a file either
    digests = {each.data_digest for each in members_of(trained)}
    origin = origin_of(model, *digests) if len(digests) == 1 else None
    if origin is None and digests == {(mnist := data.load()).digest}:
        origin = Origin.of(mnist)
    source = data_path = ""
    if origin is not None:  # no more than the name: the folders above it are of this machine
        source = Path(origin.source).name
        data_path = Path(origin.path).name if origin.path else ""
    measured, unmeasured = measure(model, trained, X, y)
    for whole in (origin.path, origin.source) if origin is not None else ():
        if whole is not None:
            unmeasured = unmeasured.replace(whole, Path(whole).name)
    found = card.Facts(place.name, measured, unmeasured, source, data_path, how_far)
    hub.write(place, trained, card.text(trained, found), how_far)
    return place


def measure(
    given: Any, trained: Model | Committee, X: Any, y: Any
) -> tuple[card.Measured | None, str]:
    """How good the network is, or None and why that cannot be measured, which is a warning too."""
    from mnistgpu.reports import evaluation

    try:
        digits = digits_to_judge([given], X, y, [trained])
    except DataError as error:
        if X is not None:
            raise
        warn(f"the card has no accuracy: {error}")
        who, why = name_of(given), str(error).partition("; ")[0]  # after it: what to do here
        why = why.removeprefix(f"{who}: ").replace(f" {who} was", " the network was")
        return None, f"it {why}" if why.startswith("was ") else why
    found = evaluation.evaluate(trained, digits, NUMPY, robustness=False)
    return (
        card.Measured(
            Path(digits.source).name,
            digits.digest,
            len(digits),
            found.right,
            found.interval,
            found.calibration_error,
        ),
        "",
    )
