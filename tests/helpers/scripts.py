"""The scripts of benchmarks/ as modules."""

import importlib
import sys

from helpers.mnist import ROOT


def benchmark(name):
    """benchmarks/NAME.py, imported; what it imports from its folder stays importable."""
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
