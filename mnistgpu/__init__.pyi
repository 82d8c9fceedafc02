"""The types of the front door, for type checkers; `__init__.py` resolves the names."""

from mnistgpu.api.distilling import distill
from mnistgpu.api.explaining import explain
from mnistgpu.api.exporting import export
from mnistgpu.api.fitting import fit, resume
from mnistgpu.api.laboratory import lab
from mnistgpu.api.making import make_data
from mnistgpu.api.model import Model, load, save
from mnistgpu.api.reading import load_data
from mnistgpu.api.run import Run
from mnistgpu.api.studies import committee, compare, draw, evaluate, lr_find, plot, submit
from mnistgpu.api.suggesting import suggest
from mnistgpu.api.sweeping import sweep
from mnistgpu.api.tuning import tune
from mnistgpu.api.verifying import verify
from mnistgpu.commands.doctor import doctor
from mnistgpu.data import Dataset, Digits
from mnistgpu.errors import (
    BackendError,
    DataError,
    DivergedError,
    MnistGpuError,
    OutOfMemoryError,
    RunError,
    ShapeError,
    StoppedError,
    UsageError,
)
from mnistgpu.interop.sklearn import MnistGpuClassifier
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.layer_statistics import LayerStatistics
from mnistgpu.runs.listing import list_runs
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings

__all__ = [
    "RECIPES",
    "BackendError",
    "Callback",
    "DataError",
    "Dataset",
    "Digits",
    "DivergedError",
    "LayerStatistics",
    "MnistGpuClassifier",
    "MnistGpuError",
    "Model",
    "OutOfMemoryError",
    "Run",
    "RunError",
    "Settings",
    "ShapeError",
    "Steering",
    "Stop",
    "StoppedError",
    "UsageError",
    "__version__",
    "committee",
    "compare",
    "distill",
    "doctor",
    "draw",
    "evaluate",
    "explain",
    "export",
    "fit",
    "lab",
    "list_runs",
    "load",
    "load_data",
    "lr_find",
    "make_data",
    "plot",
    "resume",
    "save",
    "submit",
    "suggest",
    "sweep",
    "tune",
    "verify",
]

__version__: str
