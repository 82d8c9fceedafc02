"""A dense neural network for handwritten digits, written from scratch once, on NumPy and CuPy.

    import mnistgpu

    run = mnistgpu.fit(recipe="fast")     # train on MNIST
    run.model.predict(images)             # answer

`__all__` has every name of this front door; docs/api.md describes them. Each is imported when it is
first used, so that `import mnistgpu` takes no time.

To read the code, begin with `network.py`: the equations, from the first weights through the loss to
the update. Then `backend.py` (NumPy or CuPy) and `settings.py` (every setting, with what --help
says about it). Imports go down this list only:

    train.py, cli.py   `python -m mnistgpu.train` and `mnistgpu`: the flags that are no settings
    commands/          what only a terminal needs: exit statuses, tables, the self-check
    api/               the front door: fit, resume, load, save, evaluate, ...
    web/, interop/     the local pages; doors to other tools, each optional
    pictures/          from a photograph to 28x28 pixels, and the answer, explained
    reports/           evaluation, figures, the HTML report, Kaggle's submission
    runs/              the training loop, checkpoints, Ctrl-C, the run directory
    models/            a trained network, a committee, the network of the package
    engine/            training steps and answers at speed: shards, processes, CUDA graphs
    recipes.py         named settings that are known to work
    settings.py        every setting: Python argument, flag, help text and what is saved
    knobs.py           what one setting is, and how its values are checked
    maths/, data/      optimisers, activations, deformations; arrays and files of digits, checked
    network.py         the equations
    counter_rng.py     random numbers with the same bits on every backend
    backend.py         where arrays live: NumPy or CuPy
    storage/           files that are replaced whole, locks, the safetensors format
    errors.py          what can go wrong, and the exit status of each error

Each folder's `__init__.py` says which of its files does what.
"""

__version__ = "0.2.0"

# The front door: each name and its module, with a colon and its name there if that is another.
# `__init__.pyi` says the same to type checkers.
_NAMES = {
    "fit": "api.fitting",
    "resume": "api.fitting",
    "sweep": "api.sweeping",
    "verify": "api.verifying",
    "Run": "api.run",
    "Model": "api.model",
    "load": "api.model",
    "save": "api.model",
    "export": "api.exporting",
    "evaluate": "api.studies",
    "compare": "api.studies",
    "explain": "api.explaining",
    "committee": "api.studies",
    "lr_find": "api.studies",
    "plot": "api.studies",
    "submit": "api.studies",
    "draw": "api.studies",
    "distill": "api.distilling",
    "suggest": "api.suggesting",
    "tune": "api.tuning",
    "lab": "api.laboratory",
    "list_runs": "runs.listing",
    "doctor": "commands.doctor",
    "MnistGpuClassifier": "interop.sklearn",
    "Settings": "settings",
    "RECIPES": "recipes",
    "Dataset": "data",
    "Digits": "data",
    "load_data": "api.reading",
    "make_data": "api.making",
    "Callback": "runs.callbacks",
    "LayerStatistics": "runs.layer_statistics",
    "Stop": "runs.stop",
    "Steering": "runs.steering",
    "MnistGpuError": "errors",
    "UsageError": "errors",
    "DataError": "errors",
    "ShapeError": "errors",
    "BackendError": "errors",
    "RunError": "errors",
    "DivergedError": "errors",
    "OutOfMemoryError": "errors",
    "StoppedError": "errors",
}
_MODULES = ("backend", "counter_rng", "data", "errors", "network", "recipes", "settings")
__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> object:
    """The object of that name, imported now; AttributeError with the nearest name otherwise."""
    import importlib  # here, since `import mnistgpu` loads no module but this one

    if name in _MODULES:
        return importlib.import_module(f"mnistgpu.{name}")
    if name not in _NAMES:
        from mnistgpu.errors import did_you_mean

        hint = "" if name.startswith("__") else did_you_mean(name, _NAMES, "_")
        raise AttributeError(f"module 'mnistgpu' has no attribute {name!r}{hint}")
    module, _, own_name = _NAMES[name].partition(":")
    found = getattr(importlib.import_module(f"mnistgpu.{module}"), own_name or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
