"""The words of the lab's page: one file a language, in the folder `words`."""

from __future__ import annotations

import functools
import html
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistgpu.errors import UsageError, did_you_mean

FOLDER = Path(__file__).with_name("words")
PLACE = re.compile(r"\{\{([a-z_.0-9]+)\}\}")


def languages() -> list[str]:
    """The languages that there are words in, as en and de."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@functools.cache
def read(language: str) -> dict[str, str]:
    """The words of a language by their names, such as train.start; UsageError if it has none."""
    known = languages()
    if language not in known:
        raise UsageError(
            f"--language {language}: the page has no words in it; choose one of {', '.join(known)}"
            f"{did_you_mean(language, known)}"
        )
    found = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return flat(found)


def flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """The texts of nested tables by their names with dots between them."""
    texts: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            texts |= flat(value, f"{before}{name}.")
        else:
            texts[before + name] = value
    return texts


def filled(page: str, language: str, **more: str) -> str:
    """A page with its {{names}} replaced by the words of a language, or by what else is given.

    {{words}} are all words as JSON, for the scripts of the page.
    """
    texts, more = read(language), {"language": language, **more}
    # "<" in a text could end the script that holds it
    data = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")

    def word(match: re.Match[str]) -> str:
        name = match[1]
        if name == "words":
            return data
        return html.escape(more[name] if name in more else texts[name])

    return PLACE.sub(word, page)
