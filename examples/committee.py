"""Several networks vote: their mistakes differ, so together they make fewer (Ciresan et al. 2011).

Run:  python examples/committee.py [--members 5] [--recipe fast]
"""

import argparse

import numpy as np

from mnistgpu import backend, data, errors, recipes
from mnistgpu.models.committee import Committee
from mnistgpu.reports import metrics
from mnistgpu.runs import training

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--members", type=int, default=5)
parser.add_argument("--recipe", default="fast")
arguments = parser.parse_args()
errors.said_in_one_sentence()

chosen, dataset = backend.select(), data.load()
settings = recipes.named(arguments.recipe).settings
labels = np.asarray(dataset.test.labels)
members, right = [], []
for seed in range(arguments.members):  # a new seed: new first weights and batches
    members.append(training.train(settings.changed(seed=seed), dataset, chosen).model)
    right.append(members[-1].predict(dataset.test.images, chosen) == labels)
    print(f"member {seed}: {right[-1].mean():.4f}")

together = Committee(tuple(members)).predict(dataset.test.images, chosen) == labels
print(f"committee: {together.mean():.4f}")
test = metrics.mcnemar(together, right[0])
print(
    f"against the first member: {test.only_a} images gained, {test.only_b} lost, "
    f"p = {test.p_value:.2g}"
)
