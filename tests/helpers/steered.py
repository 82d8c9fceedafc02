"""A run in another thread, which a test steers from its own."""

import threading
import time

from helpers.resuming import SMALL
from mnistgpu.backend import NUMPY
from mnistgpu.runs import training
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop

LONG = SMALL.changed(epochs=1000)


def until(what, seconds=20.0):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class Steered:
    """A run in another thread, which the test steers from this one."""

    def __init__(self, dataset, settings=LONG, callbacks=(), events=None, **how):
        self.steering, self.outcome, self.error = Steering(**how), None, None
        self.stop = Stop()

        def train():
            try:
                self.outcome = training.train(
                    settings,
                    dataset,
                    NUMPY,
                    callbacks,
                    self.stop,
                    events=events,
                    steering=self.steering,
                )
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=train, daemon=True)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.steering.state()["status"] != "preparing")
        return self

    def __exit__(self, *rest):
        self.stop.interrupt("a test")
        self.thread.join(20)

    def ended(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.outcome

    def is_paused_at(self, taken):
        until(lambda: self.state["status"] == "paused" and self.state["taken"] == taken)

    @property
    def state(self):
        return self.steering.state()

    @property
    def texts(self):
        return [each["text"] for each in self.state["said"]]
