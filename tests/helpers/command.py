"""The command line in a process of its own."""

import os
import subprocess
import sys


def run(*arguments, cwd=None, module="mnistgpu.cli", **environment):
    """Run the command; returns its exit status and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
