"""Runs a command line: every error a user can cause becomes a sentence and an exit status."""

from __future__ import annotations

import io
import sys
import warnings

import typer

from mnistgpu.errors import MnistGpuError, Note, printable
from mnistgpu.storage.terminal import has_no_reader


def show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Print a warning or a note as one line, without the line of code that gave it."""
    kind = "note" if isinstance(message, Note) else "warning"
    print(f"{kind}: {printable(str(message))}", file=sys.stderr)


def run_app(app: typer.Typer) -> None:
    """Run a typer app and exit: 0 done, 2 wrong call, 1 wrong data or failed run."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # for names that its encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.showwarning = show_warning
    try:
        sys.exit(app(standalone_mode=False))
    except MnistGpuError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except MemoryError:  # from an array that no estimate has counted
        print(
            "error: out of memory; close other programs, or use a machine that has more",
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:
        if has_no_reader(error):
            sys.stderr.close()
            sys.exit(1)
        # from a path that nothing has checked before
        print(f"error: {MnistGpuError(str(error))}; check the path", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own, of a wrong call
            raise
        message = error.format_message().rstrip(".")
        if "Usage:" in message:  # a command without its arguments
            print(message)
        elif message:  # empty where typer has printed the help
            print(f"error: {MnistGpuError(message)}; --help lists what there is", file=sys.stderr)
        sys.exit(2)
