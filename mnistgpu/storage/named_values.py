"""Files of names and values that people write, in JSON or TOML, and where in them a name stands."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from mnistgpu.errors import DataError


def parsed(path: Path, text: str) -> Any:
    """What a JSON or TOML file says; DataError with the line if it is neither."""
    kind = path.suffix.removeprefix(".").upper()
    try:
        return json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except json.JSONDecodeError as error:
        place, reason = f", line {error.lineno}", error.msg
    except (ValueError, RecursionError) as error:
        reason, _, at = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", at)
        place = f", line {line[1]}" if line else ""
    raise DataError(f"{path}{place}: not valid {kind} ({reason[:200]}); correct it")


def line_of(path: Path, text: str, name: str, table: str = "", number: int = 1) -> str:
    """The file, and the line in which a name is given a value, if it is found.

    table: of a TOML file, the table that the name stands in; if several have that name, `number`
    says which. Where the name is not in it, the line is that of the table.
    """
    begin, end = 0, len(text)
    if table:
        heads = re.finditer(rf"^[ \t]*\[{{1,2}}{re.escape(table)}\]{{1,2}}", text, re.MULTILINE)
        head = list(heads)[number - 1 : number]
        if not head:
            return line_of(path, text, name)
        begin = head[0].end()
        after = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, begin)
        end = after.start() if after else end
    quoted = re.escape(json.dumps(name)), re.escape(f"'{name}'"), re.escape(name)
    key = re.compile(rf"^[ \t{{]*(?:{'|'.join(quoted)})\s*[:=]", re.MULTILINE)
    found = key.search(text, begin, end)
    if found is None and not table:
        return str(path)
    at = found.start() if found else begin
    return f"{path}, line {text.count(chr(10), 0, at) + 1}"
