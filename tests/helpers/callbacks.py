"""A callback that keeps what a run passes to it."""

from mnistgpu.runs.callbacks import Callback


class Recorder(Callback):
    """The steps after which it was called, the rows, the warnings, and the outcome."""

    def __init__(self):
        self.steps, self.rows, self.warnings, self.outcome = [], [], [], None

    def step(self, trainer, progress):
        self.steps.append(trainer.taken)

    def row(self, row, theta):
        self.rows.append(row)

    def warning(self, sentence):
        self.warnings.append(sentence)

    def end(self, outcome):
        self.outcome = outcome
