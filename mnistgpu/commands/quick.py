"""Commands that start faster, since their flags are converted without pydantic.

Here for speed alone. Since version 0.29 typer imports pydantic and builds an adapter of it for each
flag, given or not, in order to convert its value: for `train` 80 ms of the 400 to the first step.
"""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import typer
from typer.core import TyperCommand

KINDS: dict[type, str] = {str: "text", Path: "path", int: "integer", float: "number", bool: "bool"}


class QuickCommand(TyperCommand):
    """A typer command that converts flags of KINDS itself; typer converts all other flags."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the command, --help among them."""
        parameters = super().get_params(ctx)
        annotations = inspect.unwrap(self.callback or converted).__annotations__
        for parameter in parameters:
            is_help = parameter.name == "help"
            kind = bool if is_help else quick_kind(annotations.get(parameter.name))
            if kind is not None and "process_value" not in vars(parameter):
                convert = functools.partial(converted, parameter, kind, parameter.process_value)
                parameter.process_value = convert  # type: ignore[method-assign]
        return parameters


def quick_kind(annotation: Any) -> type | None:
    """The type of an annotated flag if it is a list, or one of KINDS without a range, else None."""
    if annotation is None:  # a flag of typer's own
        return None
    optional, info = get_args(annotation)
    kinds = [kind for kind in get_args(optional) if kind is not NoneType] or [optional]
    if get_origin(kinds[0]) is list:
        return list
    ranged = info is not None and (info.min is not None or info.max is not None)
    return kinds[0] if len(kinds) == 1 and kinds[0] in KINDS and not ranged else None


def converted(parameter: Any, kind: type, slowly: Any, context: Any, value: Any) -> Any:
    """A value of the command line, or a default, as the type of its flag."""
    if value and parameter.callback is not None:  # --help prints and exits
        return slowly(context, value)
    if value is None or isinstance(value, kind):
        return value
    if kind is list and not value:
        return None  # as typer does for a flag that was not given
    if kind in (bool, list):
        return slowly(context, value)
    try:
        return kind(value)
    except ValueError:
        message = f"{value!r} is not a valid {KINDS[kind]}."
        raise typer.BadParameter(message, context, parameter) from None
