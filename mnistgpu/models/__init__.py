"""A trained network, a committee of several, and the small one that comes with the package.

Read `model.py` first: what a saved network is and how it answers. `committee.py` averages several.
`digits.safetensors` is SHIPPED; README.md beside it says how it was made.
"""

from pathlib import Path

SHIPPED = Path(__file__).parent / "digits.safetensors"
