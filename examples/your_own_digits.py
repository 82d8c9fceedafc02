"""A folder of pictures to a trained network: a sub-folder a class, or names as in 7_0001.png.

Run:  python examples/your_own_digits.py FOLDER PICTURE [--out runs/mine]

FOLDER may hold train/ and test/; without a test/ a fifth of the pictures is kept for the test.
Small pictures of one size are read as they are; others, such as photographs, are prepared: the
digit is found, scaled and centred. Classes may be letters or words.
"""

import argparse

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder")
parser.add_argument("picture", help="another picture, for the trained network to answer")
parser.add_argument("--out", default="runs/mine")
arguments = parser.parse_args()
errors.said_in_one_sentence()

data = mnistgpu.load_data(arguments.folder)
share = 0.2 if data.test is None else 0.0
batches = {"batch_size": 32, "epochs": 30, "alpha": 0.1}
run = mnistgpu.fit(data, init="he", **batches, test_share=share, out=arguments.out)
found = mnistgpu.evaluate(run, report="report.html", robustness=False)
print(f"{found.right} of {len(found.digits)} pictures right; the mistakes are in report.html")
print(mnistgpu.load(arguments.out).read(arguments.picture).sentence())
