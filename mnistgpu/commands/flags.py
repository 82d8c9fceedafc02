"""Flags from settings: every field of `Settings` is a flag of a command, once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import Field, fields
from typing import Annotated, Any

import typer

from mnistgpu import __version__
from mnistgpu.knobs import flags_of
from mnistgpu.settings import Settings

PANELS = {  # the setting with which each part of the help begins
    "layers": "Network",
    "iterations": "Run",
    "optimizer": "Optimiser",
    "label_smoothing": "Regularisation",
    "rotation": "Deformation",
    "from_run": "Networks to learn from, and files",
}
KINDS = {"int": int, "float": float, "str": str, "bool": bool}


def option(*flags: str, help: str, default: str = "", **more: Any) -> Any:
    """A typer option with its default in the help text, where typer would add a line for it."""
    text = f"{help} Default: {default}." if default else help
    return typer.Option(*flags, help=text, show_default=False, **more)


# Options that commands share
RECIPE = option(
    help="Named settings to begin with: classic, fast, accurate, long, pure, few, strong, "
    "clothes or record; `mnistgpu recipes` describes them.",
    default="classic",
)
DEFORM = option(help="Named deformations to begin with: strong or ciresan.", default="none")
BackendOption = Annotated[
    str | None,
    option(
        "--backend",
        help="numpy, cupy (the GPU), cupy:1 (the second GPU) or auto.",
        default="MNISTGPU_BACKEND, or numpy",
    ),
]
CHECKPOINT_EVERY = option(
    help="How often to save what --resume needs: a time (60s, 5m, 1h), a number of epochs "
    "(2epochs), or never.",
    default="60s",
)
JsonOption = Annotated[bool, option("--json", help="Print JSON, for programs.")]
ALLOW_HOST = option(
    "--allow-host",
    help="A further name that the page answers to, as that of a proxy of Colab, Codespaces or a "
    "hub; may be given again.",
)


def print_version(wanted: bool) -> bool:
    """Print the version and stop, for --version."""
    if wanted:
        print(f"mnistgpu {__version__}")
        raise typer.Exit
    return wanted


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=print_version, is_eager=True, help="Print the version and stop."
    ),
]
CONTEXT = {"help_option_names": ["-h", "--help"]}  # of every command


def command_from_settings(
    function: Callable[..., None], lists: bool = False, hidden: Collection[str] = ()
) -> Callable[..., None]:
    """A typer command with a flag for each field of Settings, and the parameters of `function`.

    The function gets the settings that were given, as a dict, and its own parameters, which are
    annotated as for typer. A flag that is not given is None and leaves the setting as it is.
    lists: each flag takes a list of values, and its text is given to the function. hidden: settings
    that the function refuses with a sentence of its own; the help leaves their flags out.
    """

    def command(**values: Any) -> None:
        names = [knob.name for knob in fields(Settings)]
        given = {name: values.pop(name) for name in names}
        changes = {name: value for name, value in given.items() if value is not None}
        function(changes, **values)

    _changes, *own = inspect.signature(function, eval_str=True).parameters.values()
    keyword, panel, parameters = inspect.Parameter.KEYWORD_ONLY, "", []
    for knob in fields(Settings):
        panel = PANELS.get(knob.name, panel)
        annotation = flag_of(knob, panel, lists, knob.name in hidden)
        parameters.append(
            inspect.Parameter(knob.name, keyword, default=None, annotation=annotation)
        )
    parameters += [parameter.replace(kind=keyword) for parameter in own]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def flag_of(knob: Field[Any], panel: str, lists: bool, hidden: bool) -> Any:
    """The annotation of a setting's flag, for typer."""
    kind = str if lists else KINDS[str(knob.type).split(" | ")[0]]
    default = "" if knob.default is None or kind is bool else str(knob.default).removesuffix(".0")
    flags = [with_negation(flag) if kind is bool else flag for flag in flags_of(knob)]
    shown = {"help": knob.metadata["help"], "rich_help_panel": panel, "hidden": hidden}
    return Annotated[kind | None, option(*flags, default=default, **shown)]


def with_negation(flag: str) -> str:
    """--flag/--no-flag, so that a recipe's choice can be undone."""
    return f"{flag}/--no-{flag.removeprefix('--')}"
