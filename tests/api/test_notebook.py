"""In a notebook with a real kernel: the bar, pictures, cards, and the stop button."""

import base64
import os
import re
import signal
import threading
import time

import jupytext
import nbformat
import pytest
from helpers.mnist import ROOT
from nbclient import NotebookClient
from PIL import Image

import mnistgpu
from mnistgpu.runs import checkpoint

SETTINGS = 'layers="784-16-10", init="he", batch_size=100, validation=0, alpha=0.1'


def executed(*cells, folder, while_running=lambda client: None):
    """The outputs of each cell, run one after the other by a kernel of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        helper = threading.Thread(target=while_running, args=(client,), daemon=True)
        helper.start()
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        helper.join(timeout=10)
    return [cell.outputs for cell in notebook.cells]


def data_of(outputs, kind):
    """The contents of one type among the outputs of a cell."""
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def text_of(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.slow
def test_the_notebook_of_the_examples(tmp_path):
    notebook = jupytext.read(ROOT / "examples" / "notebook.py")
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 6
    trained, model, answers, own, report = executed(*cells, folder=tmp_path)[1:]
    assert "accuracy  train 0.9" in text_of(trained)
    assert any("470 of 470" in page for page in data_of(trained, "text/html"))
    picture = next(page for page in data_of(trained, "text/html") if "data:image/png" in page)
    (tmp_path / "run.png").write_bytes(base64.b64decode(re.search(r"base64,([^\"]+)", picture)[1]))
    with Image.open(tmp_path / "run.png") as shown:
        assert shown.size[0] > 800
    assert "784-192-96-10, 170,218 parameters" in data_of(model, "text/html")[0]
    lines = text_of(answers).splitlines()
    assert lines[0].removeprefix("answers") == lines[1].removeprefix("labels ")
    assert "Row(iteration=225" in data_of(own, "text/plain")[-1]
    assert 'srcdoc="&lt;!doctype html&gt;' in data_of(report, "text/html")[-1]
    assert not list(tmp_path.glob("runs*"))  # nothing was written


def press_stop(directory):
    """A function that interrupts a kernel once a run has taken some steps there."""

    def press(client):
        end = time.monotonic() + 60
        while not (directory / checkpoint.FILE).exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.0)  # until it has learnt something
        os.kill(client.km.provisioner.process.pid, signal.SIGINT)

    return press


@pytest.mark.slow
def test_the_stop_button_keeps_what_was_learnt(tmp_path):
    run = tmp_path / "run"
    outputs = executed(
        "import mnistgpu\ndigits = mnistgpu.load_data().train\nX, y = digits.images[:2000], "
        "digits.labels[:2000]",
        f'run = mnistgpu.fit(X, y, {SETTINGS}, iterations=1_000_000, out="run", '
        'checkpoint_every="0s")\nprint("stopped", run.stopped, run.results["iterations"])',
        'print(run)\nprint("right", (run.model.predict(X) == y).mean() > 0.5)\nimport os\n'
        'tasks = f"/proc/{os.getpid()}/task/{os.getpid()}"\n'
        'print("children", open(f"{tasks}/children").read().split())',
        "more = run.resume(iterations=run.results['iterations'] + 5)\n"
        'print("more", more.stopped, more.results["iterations"] - run.results["iterations"])',
        f"whole = mnistgpu.fit(X, y, {SETTINGS}, iterations=more.results['iterations'])\n"
        'print("same", whole.model == more.model or (whole.model.trained.theta == '
        "more.model.trained.theta).all())",
        folder=tmp_path,
        while_running=press_stop(run),
    )
    printed = [text_of(each) for each in outputs]
    taken = int(re.search(r"^stopped True (\d+)$", printed[1], re.MULTILINE)[1])
    assert 0 < taken < 1_000_000
    assert f"<Run 784-16-10: stopped after {taken:,} iterations" in printed[2]
    assert "right True\nchildren []" in printed[2]
    assert "more False 5" in printed[3]
    assert "same True" in printed[4]
    assert (run / "results.json").exists()


@pytest.mark.slow
def test_in_a_script_the_stop_button_ends_the_loop(tmp_path):
    outputs = executed(
        "import mnistgpu\ndigits = mnistgpu.load_data().train",
        "try:\n"
        f"    mnistgpu.fit(digits.images[:2000], digits.labels[:2000], {SETTINGS}, "
        'iterations=1_000_000, out="run", checkpoint_every="0s", on_interrupt="raise")\n'
        "except KeyboardInterrupt as interruption:\n"
        "    print(interruption)",
        folder=tmp_path,
        while_running=press_stop(tmp_path / "run"),
    )
    assert re.search(r"of 1,000,000; go on with mnistgpu\.resume\('run'\)", text_of(outputs[1]))


@pytest.mark.slow
def test_figures_are_shown_also_where_matplotlib_was_not_set_up(tmp_path):
    outputs = executed(
        "import mnistgpu\ndigits = mnistgpu.load_data().train\n"
        f"run = mnistgpu.fit(digits.images[:500], digits.labels[:500], {SETTINGS}, epochs=1, "
        "progress=False)",
        "run.plot()",
        folder=tmp_path,
    )
    assert text_of(outputs[0]) == ""
    assert base64.b64decode(data_of(outputs[1], "image/png")[0]).startswith(b"\x89PNG")


def test_an_interruption_that_a_callback_asks_for_is_an_error_also_there(arrays):
    """The stop button alone returns the run: a callback can say `finish`."""

    class Enough(mnistgpu.Callback):
        def begin(self, trainer, progress, stop):
            stop.interrupt("a callback")

    with pytest.raises(mnistgpu.StoppedError, match="stopped by a callback after iteration 1"):
        mnistgpu.fit(*arrays, iterations=5, on_interrupt="return", callbacks=[Enough()])


@pytest.mark.parametrize("wrong", ["stop", True, 1])
def test_what_a_stop_may_do(wrong):
    with pytest.raises(mnistgpu.UsageError, match='on_interrupt must be "raise" or "return"'):
        mnistgpu.fit(on_interrupt=wrong)
