"""The small trained model that comes with the package; README.md beside it says how it was made."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "digits.safetensors"
