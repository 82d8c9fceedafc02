"""How a command ends: 2 for a wrong call, 1 for wrong data or a failed run, always one sentence."""

import pytest
import typer

from mnistgpu import errors
from mnistgpu.commands.app import run_app


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("it"), 2),
        (errors.DataError("it"), 1),
        (errors.RunError("it"), 1),
        (errors.BackendError("it"), 1),
        (errors.ShapeError("it"), 1),
        (errors.DivergedError("it"), 1),
        (errors.OutOfMemoryError("it"), 1),
        (errors.StoppedError("it", 143), 143),
        (OSError(40, "Too many levels of symbolic links", "loop"), 1),
        (FileNotFoundError(2, "No such file or directory", "nowhere"), 1),
        (None, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_status_says_whose_mistake_it_was(error, status, capsys):
    app = typer.Typer(add_completion=False)

    @app.command()
    def command() -> None:
        if error is not None:
            raise error

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["it"])
        run_app(app)
    assert (ended.value.code or 0) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == (0 if error is None else 1)
    assert error is None or printed.err.startswith("error: ")
