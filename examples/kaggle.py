"""Kaggle's "Digit Recognizer": train on train.csv, predict test.csv, write a submission.

Run:  python examples/kaggle.py train.csv test.csv [--out submission.csv] [--iterations 500]

Both files come from the competition's data page. Kaggle's images are very likely the 70,000
of MNIST in another order. So train on train.csv, as here: MNIST has the answers to test.csv.
"""

import argparse
from pathlib import Path

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("train", type=Path)
parser.add_argument("test", type=Path)
parser.add_argument("--out", type=Path, default=Path("submission.csv"))
parser.add_argument("--force", action="store_true", help="replace an existing --out")
parser.add_argument("--iterations", type=int, default=500)
parser.add_argument("--validation", type=int, default=1000, help="rows to hold out")
arguments = parser.parse_args()
errors.said_in_one_sentence()

run = mnistgpu.fit(
    arguments.train, iterations=arguments.iterations, validation=arguments.validation
)
print(f"accuracy on held-out images: {run.results['validation_accuracy']:.4f}")

count = mnistgpu.submit(run, arguments.test, arguments.out, force=arguments.force)
print(f"{count} answers in {arguments.out}")
