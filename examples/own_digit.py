"""Your own digit: a photograph, a scan or a drawing of it, read by a trained network.

Run:  python examples/own_digit.py digit.jpg [--run runs/mine]

Without --run the small model of the package reads it.
"""

import argparse
from pathlib import Path

import numpy as np

from mnistgpu import errors, models
from mnistgpu.models import committee
from mnistgpu.pictures import images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("picture", type=Path)
parser.add_argument("--run", type=Path, default=models.SHIPPED)
arguments = parser.parse_args()
errors.said_in_one_sentence()

network = committee.load(arguments.run)
digit = images.read(arguments.picture)  # (1, 784): found, cropped, scaled and centred as MNIST's
probabilities = np.asarray(network.probabilities(digit))[:, 0]

# What the network sees, in characters: if this does not show your digit, no network can read it.
for line in digit[0].reshape(28, 28):
    print("".join(" .:+#@"[level // 48] for level in line))
for answer in np.argsort(-probabilities)[:3]:
    print(f"{answer}: {probabilities[answer]:.1%}")
