"""The command line, in a process of its own or, where a test has many calls, in this one."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from unittest import mock

from helpers import processes
from mnistgpu import cli

PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def run(*arguments, cwd=None, module="mnistgpu.cli", **environment):
    """Run the command; returns its exit status and what it printed."""
    return processes.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, **PLAIN, **environment},
    )


def run_here(*arguments, cwd="."):
    """The same without a new process, which takes most of the time of a short command."""
    output, errors, status = io.StringIO(), io.StringIO(), None
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        contextlib.chdir(cwd),
        warnings.catch_warnings(action="default"),  # not an error, as it is for the tests
        mock.patch.object(sys, "argv", ["mnistgpu", *map(str, arguments)]),
        mock.patch.dict(os.environ, PLAIN),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code or 0
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())
