"""The public surface of `import mnistgpu`: it changes only on purpose."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest
from helpers.mnist import ROOT

import mnistgpu

NAMES = {
    "functions": "fit resume sweep verify load save export evaluate compare explain committee "
    "lr_find plot submit draw lab list_runs doctor load_data make_data tune distill suggest",
    "classes": "Run Model MnistGpuClassifier Settings Dataset Digits Callback LayerStatistics Stop "
    "Steering",
    "errors": "MnistGpuError UsageError DataError ShapeError BackendError RunError DivergedError "
    "OutOfMemoryError StoppedError",
    "others": "__version__ RECIPES",
}
NAMES = " ".join(NAMES.values()).split()
SIGNATURES = {
    "fit": "X y * recipe deform test validation sample_weight unlabeled teacher backend "
    "out progress callbacks stop on_interrupt checkpoint_every force snapshots watch ranks "
    "events steering **settings",
    "resume": "run X y * deform test validation sample_weight unlabeled teacher backend "
    "out progress callbacks stop on_interrupt checkpoint_every force snapshots watch ranks "
    "steering **settings",
    "sweep": "X y * out recipe deform test validation sample_weight backend progress stop "
    "checkpoint_every yes **settings",
    "tune": "X y * minutes out recipe validation backend seed stop on_trial **settings",
    "distill": "model X y * recipe **options",
    "suggest": "model X * count seed out force backend",
    "verify": "run X y * test validation backend steps progress",
    "load": "path * backend",
    "save": "given path * force",
    "export": "model path X y * input hub force",
    "evaluate": "model X y * report robustness backend made_by",
    "compare": "first second X y * backend",
    "explain": "model image * layer unit",
    "committee": "models * maps out force backend",
    "lr_find": "X y * recipe deform validation sample_weight backend steps out force **settings",
    "plot": "run X y * kind out",
    "submit": "model test out * force backend",
    "draw": "model * keep host port allow_hosts browser",
    "lab": "X y * run recipe deform backend out host port allow_hosts language "
    "experiments browser **settings",
    "list_runs": "folder",
    "doctor": "backend",
    "load_data": "path orientation * bar",
    "make_data": "out images * deform seed validation shard_images stop on_progress",
    "Model.predict": "self X",
    "Model.predict_proba": "self X",
    "Model.evaluate": "self X y * robustness",
    "Model.read": "self picture * many",
    "Run.plot": "self X y * path",
}


def signature_of(name):
    """The parameters of a function, as a line of names."""
    function = mnistgpu
    for part in name.split("."):
        function = getattr(function, part)
    words, keyword_only = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and not keyword_only:
            words.append("*")
            keyword_only = True
        prefix = "**" if parameter.kind == parameter.VAR_KEYWORD else ""
        words.append(prefix + parameter.name)
    return " ".join(words)


def test_the_names_are_these():
    assert sorted(mnistgpu.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(mnistgpu, name) is not None


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_are_these(name):
    assert signature_of(name) == SIGNATURES[name]


def test_type_checkers_see_the_same_names():
    stub = ast.parse((ROOT / "mnistgpu" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for name, where in imports.items():
        module, _, own_name = where.partition(":")
        found = getattr(importlib.import_module(module), own_name)
        assert found is getattr(mnistgpu, name), name
    assert {*imports, "__version__"} == set(NAMES)


def test_every_name_is_documented():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in set(NAMES) - {"__version__"}:
        assert f"`{name}`" in page or f"`{name}`," in page or f"[`{name}" in page, name
        thing = getattr(mnistgpu, name)
        assert isinstance(thing, dict) or inspect.getdoc(thing), name


def test_names_are_listed_for_completion():
    assert {*NAMES, "network", "backend"} <= set(dir(mnistgpu))
    assert mnistgpu.network.__name__ == "mnistgpu.network"


@pytest.mark.parametrize(
    ("name", "hint"), [("fti", "did you mean fit?"), ("Modell", "did you mean Model?"), ("x_q", "")]
)
def test_a_wrong_name_suggests_the_nearest(name, hint):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'") as error:
        getattr(mnistgpu, name)
    assert str(error.value).endswith(hint)


def test_the_import_loads_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import mnistgpu;"
        "print(*sorted(set(sys.modules) - before))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert printed.split() == ["mnistgpu"]
