"""The runs of a lab, one after the other: where one cannot begin, and where one ends by itself."""

import pytest
from helpers import lab as labs

from mnistgpu import backend
from mnistgpu.api import laboratory
from mnistgpu.errors import DataError
from mnistgpu.settings import Settings

lab_run = pytest.importorskip("mnistgpu.web.lab_run", reason="starlette is missing")


def test_a_first_run_that_cannot_begin_ends_the_lab(digits, tmp_path):
    """Its error is the lab's: it would fail again and again, and nobody could change it."""
    paths = iter(tmp_path / name for name in "abc")

    def new_path():
        path = next(paths)  # a second one is planned for nothing
        path.mkdir()
        return path

    settings = Settings(**labs.SMALL, teacher=str(tmp_path / "missing"))
    plan = lab_run.Plan(settings, new_path())
    run = lab_run.LabRun(plan, labs.small_set(digits), backend.select("numpy"), new_path)
    with pytest.raises(DataError, match="missing"):
        laboratory.carry_out(run)
    assert next(paths).name == "b"


def test_a_later_run_that_cannot_begin_leaves_the_one_before(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path) as lab:
        lab.do("step")
        lab.reach(1)
        missing = lab.run.settings().changed(teacher=str(tmp_path / "missing"))
        lab.run.begin(lab_run.Plan(missing, lab.run.new_path()))
        found = labs.until(lab.state, lambda state: any(n["bad"] for n in state["notices"]))
        assert "missing" in found["notices"][-1]["values"]["why"]
        found = labs.until(lab.state, lambda state: state["step"] == 0)
        assert (found["running"], found["settings"]["layers"]) == ("paused", "784-16-10")


def test_early_stopping_leaves_the_lab_open(digits, tmp_path):
    settings = {"early_stopping": 1, "learning_rate": 1e-30}  # it learns nothing
    with labs.running(labs.small_set(digits), tmp_path, **settings) as lab:
        lab.do("start")
        found = labs.until(lab.state, lambda state: state["running"] == "finished")
        assert found["step"] < found["steps"]
        lab.do("back", step=0)
        found = labs.until(lab.state, lambda state: state["running"] == "paused")
        assert (found["step"], found["run"][:2]) == (0, "1.")
