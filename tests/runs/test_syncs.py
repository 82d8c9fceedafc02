"""The loop waits for the device at rows of history alone."""

import pytest
from helpers.device import waits
from helpers.runs import write_small_set
from helpers.tape import Tape

from mnistgpu import data
from mnistgpu.backend import select
from mnistgpu.engine import trainer
from mnistgpu.errors import BackendError
from mnistgpu.runs import training
from mnistgpu.settings import Settings

SMALL = Settings(layers="784-12-10").changed(init="he", validation=100, learning_rate=0.1)
# of each kind two runs with as many rows of history, and more steps between them
RUNS = {
    "full batch": [{"iterations": 20}, {"iterations": 30}],
    "mini-batches": [{"epochs": 3, "batch_size": size} for size in (200, 50)],
}


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "ROWS_OF_HISTORY", 10)
    return data.load(write_small_set(tmp_path))


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_more_steps_between_the_same_rows_read_nothing_more(dataset, changes):
    reads, rows, steps = [], [], []
    for each in changes:
        tape = Tape()
        outcome = training.train(SMALL.changed(**each), dataset, tape.backend())
        reads.append(tape.reads)
        rows.append(len(outcome.history))
        steps.append(outcome.results["iterations"])
    assert rows[0] == rows[1]
    assert steps[0] < steps[1]
    assert rows[0] <= reads[0] == reads[1]


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_more_steps_between_the_same_rows_wait_no_more_on_a_gpu(dataset, changes, graph):
    try:
        gpu = select("cupy")
        found = []
        for each in changes:
            settings = SMALL.changed(**each, graph=graph)
            training.train(settings, dataset, gpu)  # compiles its kernels
            before = waits()
            training.train(settings, dataset, gpu)
            found.append(waits() - before)
    except BackendError as error:
        pytest.skip(str(error))
    assert 0 < found[1] <= found[0]
