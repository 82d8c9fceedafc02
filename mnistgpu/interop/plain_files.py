"""A network as plain arrays: an npz file for NumPy, a JSON file for everything else."""

from __future__ import annotations

import io
import json

import numpy as np

from mnistgpu.interop.exported import FORMAT, Exported, layers_of, scaling, texts_of

NPZ_MARK: bytes = FORMAT.encode()
JSON_MARK: bytes = f'{{\n "format": "{FORMAT}"'.encode()


def npz(network: Exported) -> bytes:
    """Arrays W1 (n_1, pixels), b1 (n_1,), W2, ... and `classes`; texts `activation`, `metadata`.

    Of a committee the names begin with the member: member1_W1. `metadata` is a JSON object. No
    array needs allow_pickle.
    """
    # first, and uncompressed: by it an older file is known that may be replaced
    arrays: dict[str, np.ndarray] = {"format": np.array(FORMAT.encode())}
    names = [str(name) for name in network.classes]
    whole = all(isinstance(name, int) for name in network.classes)
    arrays["classes"] = np.array(network.classes if whole else names)
    how = scaling(network.levels, "uint8")
    arrays["paper_and_ink"] = np.array([how.paper, how.ink])
    arrays["image_shape"] = np.array(network.image_shape)
    for number, member in enumerate(network.members, 1):
        of_member = f"member{number}_" if len(network.members) > 1 else ""
        arrays[f"{of_member}activation"] = np.array(member.activation)
        for layer, (W, b) in enumerate(layers_of(member), 1):
            arrays[f"{of_member}W{layer}"], arrays[f"{of_member}b{layer}"] = W, b[:, 0]
    arrays["metadata"] = np.array(json.dumps(network.facts))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def as_json(network: Exported) -> bytes:
    """An object with `classes`, `image_shape`, `paper`, `ink`, `metadata` and `members`.

    Each member has its `activation` and `layers`, each of these `weights` (a list of n_l rows) and
    `bias`. The numbers have as many digits as give the same bits again.
    """
    how = scaling(network.levels, "uint8")
    head = {
        "format": FORMAT,
        "image_shape": list(network.image_shape),
        "classes": list(network.classes),
        "paper": how.paper,
        "ink": how.ink,
        "metadata": network.facts,
    }
    members = [
        {
            "activation": member.activation,
            "layers": [
                {"weights": [floats(row) for row in W], "bias": floats(b)}
                for W, b in layers_of(member)
            ],
        }
        for member in network.members
    ]
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    lines.append(f' "members": {json.dumps(members)}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def floats(numbers: np.ndarray) -> list[float]:
    """Numbers that JSON writes with the shortest decimals of their own type."""
    return [float(text) for text in texts_of(numbers)]
