"""Several networks vote: their mistakes differ, so together they make fewer (Ciresan et al. 2011).

Run:  python examples/committee.py [--members 5] [--recipe fast]
"""

import argparse

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--members", type=int, default=5)
parser.add_argument("--recipe", default="fast")
arguments = parser.parse_args()
errors.said_in_one_sentence()

dataset = mnistgpu.load_data()
runs = []
for seed in range(arguments.members):  # a new seed: new first weights and batches
    runs.append(mnistgpu.fit(dataset, recipe=arguments.recipe, seed=seed, progress=False))
    print(f"member {seed}: {runs[-1].test_accuracy:.4f}")

together = mnistgpu.committee(runs)
print(f"committee: {together.evaluate().accuracy:.4f}")
found = mnistgpu.compare(together, runs[0])
print(
    f"against the first member: {found.test.only_a} images gained, {found.test.only_b} lost, "
    f"p = {found.p_value:.2g}"
)
