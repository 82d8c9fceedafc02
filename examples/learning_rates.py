"""How the schedule and the learning rate decide what is learnt in a few epochs.

Run:  python examples/learning_rates.py [--epochs 1]

First a search for a good rate, then the same short run with several rates and schedules.
"""

import argparse

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--rates", nargs="+", type=float, default=[0.001, 0.004, 0.012, 0.036])
parser.add_argument("--schedules", nargs="+", default=["constant", "linear", "cosine", "one-cycle"])
arguments = parser.parse_args()
errors.said_in_one_sentence()

dataset = mnistgpu.load_data()
curve = mnistgpu.lr_find(dataset, recipe="fast", validation=5000)
print(f"suggested learning rate: {curve.suggestion:.2g}")

fast = {"recipe": "fast", "epochs": arguments.epochs, "validation": 5000, "progress": False}
for schedule in arguments.schedules:
    for rate in arguments.rates:
        run = mnistgpu.fit(dataset, **fast, schedule=schedule, alpha=rate)
        accuracy = run.results["validation_accuracy"]
        print(f"{schedule:<9}  alpha {rate:<5}  validation accuracy {accuracy:.4f}")
