"""`mnistgpu draw` and `mnistgpu lab`: the local pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnistgpu.commands.flags import (
    ALLOW_HOST,
    DEFORM,
    RECIPE,
    BackendOption,
    VersionOption,
    command_from_settings,
    option,
)

HOST = option(
    help="Address to serve on; with 0.0.0.0 other machines can reach the page.",
    default="127.0.0.1",
)
BROWSER = option(help="Open the page in a browser.", default="yes")


def port(default: str) -> Any:
    """The option of a page's port."""
    return option(help="Port, or 0 for any free one.", default=default)


def draw(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run directory or model file. Default: the package's model.", show_default=False
        ),
    ] = Path("shipped"),
    keep: Annotated[
        Path | None,
        option(help="Folder to keep corrected drawings in; train on it with --data."),
    ] = None,
    host: Annotated[str, HOST] = "127.0.0.1",
    port: Annotated[int, port("8028")] = 8028,
    allow_host: Annotated[list[str] | None, ALLOW_HOST] = None,
    browser: Annotated[bool, BROWSER] = True,
    version: VersionOption = False,
) -> None:
    """Draw digits in a browser and see the network's answers; Ctrl-C ends it."""
    from mnistgpu.api import studies

    studies.draw(
        run, keep=keep, host=host, port=port, allow_hosts=allow_host or (), browser=browser
    )


def lab(
    changes: dict[str, Any],
    run: Annotated[
        Path | None,
        option(help="Go on with the run in this directory, in a directory of its own."),
    ] = None,
    recipe: Annotated[str | None, RECIPE] = None,
    deform: Annotated[str | None, DEFORM] = None,
    data: Annotated[
        Path | None, option(help="Digits to train on, as for train.", default="the embedded MNIST")
    ] = None,
    backend: BackendOption = None,
    out: Annotated[
        Path | None, option(help="Directory of the first run.", default="runs/DATE-TIME")
    ] = None,
    language: Annotated[str, option(help="Of the page: en or de.", default="en")] = "en",
    experiments: Annotated[
        Path | None, option(help="Folder of your own experiments (docs/experiments.md).")
    ] = None,
    check: Annotated[
        Path | None,
        option(help="Only run this experiment with three seeds and say whether its claims hold."),
    ] = None,
    host: Annotated[str, HOST] = "127.0.0.1",
    port: Annotated[int, port("8030")] = 8030,
    allow_host: Annotated[list[str] | None, ALLOW_HOST] = None,
    browser: Annotated[bool, BROWSER] = True,
    version: VersionOption = False,
) -> None:
    """Change a network while it learns, open its neurons and break it, on a page; Ctrl-C ends it.

    Takes the settings of `train`. Each run of the page is saved in a directory of its own, with
    what was done to it.
    """
    from mnistgpu.api import laboratory

    if check is not None:
        problems = laboratory.check_experiment(check)
        print("\n".join(problems) or f"{check}: every claim holds with the seeds 0, 1 and 2")
        if problems:
            raise typer.Exit(1)
        return
    laboratory.lab(
        data,
        run=run,
        recipe=recipe,
        deform=deform,
        backend=backend,
        out=out,
        language=language,
        experiments=experiments,
        host=host,
        port=port,
        allow_hosts=allow_host or (),
        browser=browser,
        **changes,
    )


def add_to(app: typer.Typer) -> None:
    """Add both commands to a command line."""
    app.command("draw")(draw)
    app.command("lab")(command_from_settings(lab))
