"""Your own digit: a photograph, a scan or a drawing of it, read by a trained network.

Run:  python examples/own_digit.py digit.jpg [--run runs/mine]

Without --run the small model of the package reads it.
"""

import argparse

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("picture")
parser.add_argument("--run", default="shipped")
arguments = parser.parse_args()
errors.said_in_one_sentence()

# The digit is found, cropped, scaled and centred as MNIST's are.
answer = mnistgpu.load(arguments.run).read(arguments.picture)

# What the network sees, in characters: if this does not show your digit, no network can read it.
for line in answer.image.reshape(28, 28):
    print("".join(" .:+#@"[level // 48] for level in line))
for digit in answer.ranked[:3]:
    print(f"{digit}: {answer.probabilities[digit]:.1%}")
