"""Commands in a pseudo-terminal of a chosen width, as a person sees them."""

import contextlib
import os
import re
import struct
import sys

from helpers import processes

ESCAPE = re.compile(r"\x1b\[[0-9;?]*([A-Za-z])")  # a sequence that moves, erases or colours


def frames(columns, *arguments, moves=""):
    """What a command shows in a terminal of that width: each line that stood in it, in order.

    A line that is drawn anew in its place counts as one more. Asserts that the cursor goes no other
    way than to the start of its line: a bar that has wrapped would have to be erased line by line.
    moves: letters of further escape sequences that are expected.
    """
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    sized_by_the_terminal = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = processes.start(
        [sys.executable, "-m", *arguments],
        stdin=theirs,
        stdout=theirs,
        env=sized_by_the_terminal | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what Linux says at the end of a pseudo-terminal
        while piece := os.read(ours, 2**16):
            shown += piece
    os.close(ours)
    assert (process.wait(60), process.stderr.read()) == (0, "")
    text = shown.decode()
    assert set(ESCAPE.findall(text)) <= set(
        "mKhl" + moves
    )  # colours, the line erased, the cursor hidden
    return [ESCAPE.sub("", line).rstrip("\r") for line in re.split(r"\r\x1b\[2K|\n", text)]
