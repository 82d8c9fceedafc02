"""Which of several choices on a command line counts, and what a lost output does to a run."""

import errno
import os

from mnistgpu.recipes import settings_of
from mnistgpu.runs import progress
from mnistgpu.runs.stop import Stop


def test_a_flag_wins_over_a_preset_and_a_preset_over_a_recipe():
    alone = settings_of("strong", None, {})
    assert (alone.rotation, alone.elastic_sigma, alone.layers) == (12.0, 4.0, "784-1200-1200-10")
    preset = settings_of("strong", "ciresan", {})
    assert (preset.rotation, preset.elastic_sigma, preset.layers) == (15.0, 5.5, alone.layers)
    flag = settings_of("strong", "ciresan", {"rotation": 20.0, "epochs": 3})
    assert (flag.rotation, flag.elastic_sigma) == (20.0, 5.5)
    assert (flag.epochs, flag.iterations) == (3, None)
    assert settings_of(None, None, {}) == settings_of("classic", None, {})


def test_a_lost_output_is_a_failure(monkeypatch):
    """The run is interrupted, and so saved; later lines go nowhere, without another error."""

    class Broken(progress.Display):
        def note(self, line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sys.stdout", None)
    stop = Stop()
    shown = progress.Guarded(Broken(), stop)
    shown.note("a line")
    assert stop.exit_status == 1
    assert stop.reason == "its output, which cannot be written (No space left on device),"
    shown.note("another line")
