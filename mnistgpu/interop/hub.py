"""A folder in the layout of the Hugging Face Hub: model.safetensors, config.json, README.md.

The model's file is that of a run, or a committee's files are those of a committee, so that nothing
else reads them. config.json says in words of the Hub what the network is, and README.md is its
model card. Nothing here uses a network: to upload the folder is up to `hf upload`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnistgpu import __version__
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import committee, model
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.storage import files, tensor_file

CONFIG, CARD = "config.json", "README.md"
FORMAT, FORMAT_VERSION = "mnistgpu-hub", 1
MARK = f'"format": "{FORMAT}"'.encode()
CARD_MARK = b"library_name: mnistgpu"
OF_A_RUN = ("settings.json", "results.json", "checkpoint.safetensors")
TOLD = ("mnistgpu", "stopped")  # what `check` cannot compare with the network


def config(trained: Model | Committee, stopped: str = "") -> dict[str, Any]:
    """What config.json says of a network. stopped: see `exported.of`."""
    members = trained.members if isinstance(trained, Committee) else (trained,)
    first = members[0]
    names = [str(name) for name in first.classes or range(first.sizes[-1])]
    known = trained.calibration
    found = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mnistgpu": __version__,
        "library_name": "mnistgpu",
        "architectures": ["Committee" if isinstance(trained, Committee) else "DenseNetwork"],
        "image_shape": list(first.image_shape),
        "paper_and_ink": list(trained.levels),
        "num_labels": len(names),
        "id2label": {str(number): name for number, name in enumerate(names)},
        "calibration": None if known is None else json.loads(known.text()),
        "members": [
            {
                "layers": list(each.sizes),
                "activation": each.activation,
                "dtype": str(each.theta.dtype),
                "digest": each.digest,
                "data_digest": each.data_digest,
                "settings": each.settings,
            }
            for each in members
        ],
    }
    return found | ({"stopped": stopped} if stopped else {})


def check_free(path: Path, trained: Model | Committee, force: bool) -> None:
    """UsageError unless the network may be written into this folder; RunError if it cannot."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file; name a folder for --hub")
    if any((path / name).exists() for name in OF_A_RUN):
        raise UsageError(f"{path}: a run is there; choose another folder for --hub")
    is_committee = isinstance(trained, Committee)
    other = model.FILE if is_committee else committee.FILE
    if (path / other).exists():
        what = "a network" if is_committee else "a committee"
        raise UsageError(f"{path}: {what} is there ({other}); choose another folder for --hub")
    own = committee.FILE if is_committee else model.FILE
    for name in (own, CONFIG, CARD):
        if (path / name).exists() and not force:
            raise UsageError(f"{path / name}: the file exists; choose another or add --force")
    mark = committee.MARK if is_committee else tensor_file.mark(model.FORMAT)
    for name, wanted in ((own, mark), (CONFIG, MARK), (CARD, CARD_MARK)):
        files.check_replaceable("--hub", path / name, wanted)


def write(path: Path, trained: Model | Committee, card: str, stopped: str = "") -> None:
    """Write the folder, which `check_free` has found free or replaceable.

    config.json is removed first and written last: whenever it is there, it belongs to the network
    beside it.
    """
    files.make_directory(path)
    files.remove(path / CONFIG)
    if isinstance(trained, Committee):
        sources = [f"member {number}" for number in range(1, len(trained.members) + 1)]
        committee.save(trained, path, sources, force=True)
    else:
        model.save(trained, path / model.FILE)
    files.replace_bytes(path / CARD, card.encode())
    files.replace_json(path / CONFIG, config(trained, stopped))


def check(path: Path, trained: Model | Committee) -> None:
    """DataError if a config.json of this program lies there and contradicts the network."""
    place = path / CONFIG
    if not files.is_file(place):
        return
    try:
        told = files.read_json(place)
    except DataError:
        if files.has_mark(place, FORMAT.encode()):
            raise
        return  # of another program
    if told.get("format") != FORMAT and told.get("library_name") != "mnistgpu":
        return
    version = told.get("format_version")
    if type(version) is not int or version > FORMAT_VERSION:
        raise DataError(
            f"{place}: its format_version is {str(version)[:20]}, and this mnistgpu knows "
            f"{FORMAT_VERSION}; upgrade mnistgpu, or export the network again"
        )
    for name, own in config(trained).items():
        if name not in TOLD and told.get(name) != json.loads(json.dumps(own)):
            raise DataError(
                f"{place}: its {name!r} is not that of the network beside it; was it edited? "
                "restore it, or export the network again"
            )
