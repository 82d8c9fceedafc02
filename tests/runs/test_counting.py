"""The bar of what takes long is shown to a person alone, and changes nothing of what is counted."""

import io
import sys

import pytest

from mnistgpu.runs.counting import counted

ITEMS = ["a", "b", "c"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_many_are_done(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(counted(ITEMS, "Reading")) == ITEMS
    assert "Reading" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[1A\x1b[2K")  # up a line, which is erased


def closed():
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stderr", [io.StringIO(), None, closed()], ids=["file", "none", "closed"])
def test_without_a_terminal_nothing_is_shown(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    assert counted(ITEMS, "Reading") is ITEMS


def test_who_asks_for_no_bar_gets_none(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert counted(ITEMS, "Reading", bar=False) is ITEMS
    assert terminal.getvalue() == ""
