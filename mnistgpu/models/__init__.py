"""A trained network, a committee of several, and the one that comes with the package.

Read `model.py` first: what a saved network is and how it answers. `committee.py` averages several.
`calibration.py` says how far probabilities can be believed, and which images are unlike all digits.
`opened.py` writes out the sum of a unit, `edits.py` breaks a network on purpose, and `outputs.py`
has what units say to many images. SHIPPED is the path of `digits.safetensors`; README.md beside it
says how it was trained.
"""

from pathlib import Path

SHIPPED = Path(__file__).parent / "digits.safetensors"
# The digest of its data, MNIST's training images among them: MNIST's test images are new to it
SHIPPED_DATA = "8e890e9322a943de90b2001e634e967f26e5372a43ab88893a788a6a89ae02bc"
