"""The code of docs/callbacks.md, as written, and what the page promises of the protocol."""

import inspect
import re
import sys
import types

import pytest
from helpers.mnist import ROOT

import mnistgpu
from mnistgpu.engine.trainer import Trainer
from mnistgpu.runs.history import COLUMNS, Progress
from mnistgpu.runs.outcome import Outcome

PAGE = (ROOT / "docs" / "callbacks.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_of_the_page(tmp_path, monkeypatch, capsys):
    logged = []
    fake = types.SimpleNamespace(
        log_params=lambda values: logged.append(values["layers"]),
        log_metrics=lambda values, step: logged.append((step, *values)),
        log_artifact=lambda path: logged.append(path),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall("```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code.replace("iterations=60", "iterations=2"), names)
    assert len(capsys.readouterr().out.splitlines()) == 6  # two rows, three layers, events
    X = mnistgpu.load_data().test
    mnistgpu.fit(
        X.images[:200],
        X.labels[:200],
        layers="784-8-10",
        iterations=2,
        callbacks=[names["MlflowLogger"]()],
    )
    assert logged == [
        "784-8-10",
        (1, "train_loss", "validation_accuracy"),
        (2, "train_loss", "validation_accuracy"),
        "digits.npz",
    ]


def test_the_methods_are_those_of_the_page():
    table = PAGE.partition("## The layers while they learn")[0]
    rows = re.findall(r"^\| `(\w+)\(([\w, ]+)\)` \|", table, re.MULTILINE)
    own = {
        name: ", ".join(list(inspect.signature(method).parameters)[1:])
        for name, method in vars(mnistgpu.Callback).items()
        if inspect.isfunction(method)
    }
    assert dict(rows) == own


def test_what_the_page_promises_is_there():
    cells = dict(re.findall(r"^\| `(row|trainer|progress|stop|outcome)` \| (.*) \|$", PAGE, re.M))
    said = {name: re.findall(r"`(\w+)(?:\([^)]*\))?`", cell) for name, cell in cells.items()}
    assert set(said["row"]) == set(COLUMNS)
    trainer = inspect.getsource(Trainer)
    assert all(f"self.{name}" in trainer or f"def {name}" in trainer for name in said["trainer"])
    fields = {*Progress.__dataclass_fields__}
    assert fields >= set(said["progress"])
    assert {"finish", "interrupt"} <= set(said["stop"])
    assert set(Outcome.__dataclass_fields__) >= set(said["outcome"])
