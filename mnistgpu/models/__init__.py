"""A trained network, a committee of several, and the one that comes with the package.

Read `model.py` first: what a saved network is and how it answers. `committee.py` averages several.
SHIPPED is the path of `digits.safetensors`; README.md beside it says how it was trained.
"""

from pathlib import Path

SHIPPED = Path(__file__).parent / "digits.safetensors"
