"""A dense neural network for handwritten digits, written from scratch once, on NumPy and CuPy."""

__version__ = "0.1.0"
