"""Nothing that is read can run: no pickle, no eval, in any file of the package."""

import ast
from pathlib import Path

import pytest

import mnistgpu

FILES = sorted(Path(mnistgpu.__file__).parent.rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__"}
READERS = {"load", "loads", "read_pickle", "to_pickle", "fromregex", "loadtxt", "genfromtxt"}
MODULES_WITH_READERS = {"np", "numpy", "cp", "cupy", "xp", "pd", "pandas"}


def faults(source):
    """What in a program could unpickle or run what it reads, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
            found += [(node.lineno, name) for name in names & MODULES]
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                found.append((node.lineno, node.module))
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in CALLS:
                found.append((node.lineno, function.id))
            if (
                isinstance(function, ast.Attribute)
                and function.attr in READERS
                and isinstance(function.value, ast.Name)
                and function.value.id in MODULES_WITH_READERS
            ):
                found.append((node.lineno, f"{function.value.id}.{function.attr}"))
            for keyword in node.keywords:
                refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not refused:
                    found.append((node.lineno, "allow_pickle"))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_of_the_package_runs_what_it_reads(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import numpy, _pickle",
        "from cloudpickle import loads",
        "np.load(path)",
        "cupy.load(path, allow_pickle=False)",
        "reader(path, allow_pickle=True)",
        "reader(path, allow_pickle=trusted)",
        "pd.read_pickle(path)",
        "eval(header)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert len(faults(source)) == 1


def test_the_search_sees_the_whole_package():
    assert len(FILES) > 30
    assert {"model.py", "npz.py", "checkpoint.py"} <= {path.name for path in FILES}
