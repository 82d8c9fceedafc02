"""The model card of a network: what it is, how good, how far to be trusted, how to make it again.

The head is the YAML that huggingface_hub reads; each text in it is quoted as JSON, which YAML is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mnistgpu.data.naming import EMBEDDED
from mnistgpu.errors import printable
from mnistgpu.knobs import flags_of
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs.origin import ARRAYS, UNSAVED, WITH_DIGEST
from mnistgpu.settings import Settings, from_dict
from mnistgpu.storage.terminal import quoted

OF_ARRAYS, OF_TEACHER = "UNLABELED", "TEACHER"  # names in a command for what has none


@dataclass(frozen=True)
class Measured:
    """How good a network is: figures of an evaluation. source: what it was measured on."""

    source: str
    digest: str
    count: int
    right: int
    interval: tuple[float, float]  # of the accuracy, 95%
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.count


@dataclass(frozen=True)
class Facts:
    """What a card says that the network itself does not know.

    measured: None, if there is nothing to measure it on; `unmeasured` then says why.
    data: what the training set is called; "" if unknown. data_path: the name of its file or folder;
        "" for the embedded MNIST, for arrays, and if it is unknown.
    stopped: how far a run was that was not finished.
    """

    name: str
    measured: Measured | None
    unmeasured: str = ""
    data: str = ""
    data_path: str = ""
    stopped: str = ""


def text(trained: Model | Committee, facts: Facts) -> str:
    """The whole card."""
    members = trained.members if isinstance(trained, Committee) else (trained,)
    sections = [
        head(facts),
        f"# {plain(facts.name)}\n",
        introduction(members, facts),
        "## Use\n",
        use(members[0]),
        "## Accuracy\n",
        accuracy(facts),
        "## Calibration\n",
        calibration(trained, facts),
        "## Data\n",
        data(members, facts),
        "## Limits\n",
        limits(members[0], facts),
        "## Training\n",
        training(members, facts),
    ]
    # a name of a file may have bytes that are no text
    return "\n".join(map(printable, "\n".join(sections).split("\n")))


def head(facts: Facts) -> str:
    """The YAML between two lines of dashes."""
    lines = [
        "---",
        "library_name: mnistgpu",
        "pipeline_tag: image-classification",
        "tags:",
        "- handwritten-digits",
        "- dense-network",
        "- numpy",
    ]
    if (found := facts.measured) is not None:
        lines += [
            "metrics:",
            "- accuracy",
            "model-index:",
            f"- name: {json.dumps(facts.name)}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {json.dumps(found.source)}",
            f"      type: {identifier(found.source)}",
            f"      revision: {json.dumps(found.digest)}",
            "    metrics:",
            "    - type: accuracy",
            f"      value: {found.accuracy!r}",
        ]
    return "\n".join([*lines, "---", ""])


def introduction(members: Sequence[Model], facts: Facts) -> str:
    """What it is, in two sentences."""
    first = members[0]
    height, width = first.image_shape
    names = ", ".join(plain(str(name)) for name in first.classes or range(first.sizes[-1]))
    layers = "-".join(map(str, first.sizes))
    what = f"A dense neural network {layers} ({first.activation})"
    if len(members) > 1:
        what = f"A committee of {len(members)} dense neural networks, the first of them {layers}"
    lines = [
        f"{what}, made with [mnistgpu](https://github.com/mnistgpu/mnistgpu). It reads grey images "
        f"of {height}x{width} pixels and answers with one of {first.sizes[-1]} classes: {names}."
    ]
    if facts.stopped:
        lines.append(f"\n**Its training was not finished: it is that {facts.stopped}.**")
    return "\n".join(lines) + "\n"


def use(first: Model) -> str:
    """How to load it, and what a reader of safetensors alone finds."""
    return (
        "```python\n"
        "import mnistgpu\n"
        "\n"
        'model = mnistgpu.load("FOLDER")  # where the files of this page are\n'
        'print(model.read("photo.jpg").digit)  # a photograph, scan or drawing\n'
        f"print(model.predict(X))  # arrays (N, {first.image_shape[0]}, {first.image_shape[1]})\n"
        "```\n"
        "\n"
        "In a file of safetensors, `theta` holds all parameters: for each layer its weights, row "
        "by row (one row for each unit), and then its biases. `config.json` says how many units "
        "the layers have.\n"
    )


def accuracy(facts: Facts) -> str:
    """The figure with its interval, or why there is none."""
    found = facts.measured
    if found is None:
        return f"Not measured: {plain(facts.unmeasured)}.\n"
    low, high = found.interval
    return (
        f"{found.accuracy:.2%} ({found.right:,} of {found.count:,} right; 95% interval "
        f"{low:.2%} to {high:.2%}, after Wilson), on {plain(found.source)}, digest "
        f"`{found.digest}`.\n"
    )


def calibration(trained: Model | Committee, facts: Facts) -> str:
    """How far its probabilities can be believed."""
    lines, known = [], trained.calibration
    if facts.measured is not None:
        lines.append(
            f"Its probabilities are off by {facts.measured.calibration_error:.2%} on average "
            "(expected calibration error)."
        )
    if known is None:
        lines.append(
            "No temperature was fitted, since too few images were held out: its probabilities are "
            "used as they are, and it cannot tell what is no digit."
        )
    else:
        lines.append(
            f"For answers to pictures they are taken at the temperature {known.temperature:g}, and "
            f"an image with an energy above {known.energy:g} counts as unlike the training's; both "
            "were fitted on images that were held out."
        )
    return "\n".join(lines) + "\n"


def data(members: Sequence[Model], facts: Facts) -> str:
    """What it was trained on, and the digest by which that is known again."""
    digests = dict.fromkeys(each.data_digest for each in members if each.data_digest)
    where = plain(facts.data) if facts.data else "data of which only the digest was kept"
    if not digests:
        return f"Trained on {where}; the digest is not known.\n"
    texts = ", ".join(f"`{digest}`" for digest in digests)
    return f"Trained on {where}. SHA-256 of images and labels: {texts}.\n"


def limits(first: Model, facts: Facts) -> str:
    """What it should not be used for."""
    height, width = first.image_shape
    levels = first.levels
    measured = "It holds for images that were made as those it was measured on."
    lines = [
        f"- It knows {first.sizes[-1]} classes and always answers with one of them. Only "
        "`model.read` and `mnistgpu predict` say when a picture looks like none.",
        f"- It expects one sign an image, {height}x{width} pixels, {levels.paper:g} for paper and "
        f"{levels.ink:g} for ink, placed as in its training. `model.read` prepares photographs so.",
        f"- The accuracy above is no promise for other writers, pens, scanners or cameras. "
        f"{measured}"
        if facts.measured
        else "- Its accuracy is not known: measure it before you rely on it.",
        "- A dense network has no notion of place: a sign that is shifted or turned by more than "
        "those in the training is often misread.",
        "- Where a wrong answer does harm, let a person check it.",
    ]
    return "\n".join(lines) + "\n"


def training(members: Sequence[Model], facts: Facts) -> str:
    """The command that trains it again, or how else it was made."""
    if any(each.made for each in members):
        return "\n\n".join(each.made or "Trained in one run." for each in members) + "\n"
    lines, where = [], facts.data_path
    if not where and not facts.data.startswith(EMBEDDED):  # on which it would train without --data
        where = "DATA"
        if any(each.settings for each in members):
            lines.append("DATA stands for what it was trained on.\n")
    for each in members:
        if not each.settings:
            lines.append("The settings of the training were not kept.")
            continue
        lines += stand_ins(each)
        if each.events:
            records = ",\n".join(f"    {json.dumps(event)}" for event in each.events)
            lines.append(
                "Its settings were changed on the way. `events.json` must say:\n\n"
                f'```json\n{{\n  "events": [\n{records}\n  ]\n}}\n```\n'
            )
        lines.append(f"```sh\n{command(each, where)}\n```")
    same = "On the same machine it gives the same bits; on others it differs by rounding."
    if all(each.is_exact for each in members):
        same = "It gives the same bits on every machine: compare the digest in `config.json`."
    elif any(each.events for each in members):
        same = (
            "It gives the same bits on the same machine if as many threads or processes share the "
            "steps; else it differs by rounding."
        )
    lines.append(f"\n{same}")
    return "\n".join(lines) + "\n"


def stand_ins(trained: Model) -> list[str]:
    """What the names of the teacher and of images without labels in its command stand for."""
    used, lines = from_dict(trained.settings, "model"), []
    if used.unlabeled == ARRAYS:
        lines.append(f"{OF_ARRAYS} stands for the images without labels that it learnt from.\n")
    if used.teacher is not None:
        name, digest = teacher_of(used.teacher)
        verb = "stands for" if name == OF_TEACHER else "is"
        known = f", with the digest {digest}" if digest else ""
        lines.append(f"{plain(name)} {verb} the network whose answers it learnt{known}.\n")
    return lines


def teacher_of(setting: str) -> tuple[str, str]:
    """What a command calls the teacher of these settings, and its digest; "" if unknown."""
    found = WITH_DIGEST.fullmatch(setting)
    where, digest = (setting, "") if found is None else found.groups()
    return OF_TEACHER if where == UNSAVED else Path(where).name, digest


def command(trained: Model, data_path: str = "") -> str:
    """The command line that trains a network with these settings."""
    used, usual = from_dict(trained.settings, "model"), Settings()
    parts: list[str] = []
    for knob in fields(Settings):
        value: Any = getattr(used, knob.name)
        if value == getattr(usual, knob.name) or value is None:
            continue
        flag = flags_of(knob)[0]
        # no more than the name, as of the data
        if knob.name == "teacher":
            value, _ = teacher_of(value)
        elif knob.name == "unlabeled" and value == ARRAYS:
            value = OF_ARRAYS
        elif knob.name in ("from_run", "unlabeled"):
            value = Path(value).name
        if knob.name == "from_run":
            parts.insert(0, "--recipe classic")  # else the settings of that network hold
        if isinstance(value, bool):
            parts.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            parts.append(f"{flag} {quoted(str(value))}")
    if trained.events:
        parts.append("--events events.json")
    if data_path:
        parts.append(f"--data {quoted(data_path)}")
    return " ".join(["python -m mnistgpu.train", *parts])


def identifier(source: str) -> str:
    """The name of a data set as the Hub writes it, such as mnist."""
    if source.startswith(EMBEDDED):
        return "mnist"
    return re.sub("[^a-z0-9]+", "-", source.lower()).strip("-") or "data"


def plain(words: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    shown = "".join(f"\\{each}" if each in "\\`*_[]<>#|" else each for each in words)
    return " ".join(shown.split())
