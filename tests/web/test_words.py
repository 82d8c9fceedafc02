"""The words of the lab's page: every language is whole, and every word has its place."""

import re

import pytest

from mnistgpu.errors import UsageError
from mnistgpu.settings import Settings
from mnistgpu.web import controls, words

pages = pytest.importorskip("mnistgpu.web.pages", reason="starlette is missing")
FOLDER = pages.FOLDER
PLACE = re.compile(r"\{([a-z_]+)\}")
OTHERS = [each for each in words.languages() if each != "en"]


def page_names():
    """The words that the page and its scripts name, and patterns for names put together there."""
    text = (FOLDER / "lab.html").read_text(encoding="utf-8")
    names = {name for name in words.PLACE.findall(text) if "." in name}
    patterns = set()
    for path in FOLDER.glob("*.js"):
        script = path.read_text(encoding="utf-8")
        names.update(re.findall(r'"([a-z]+\.[a-z_0-9]+)"', script))
        patterns.update(re.findall(r"say\(`([^`]+)`", script))
    for path in FOLDER.parent.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        names.update(re.findall(r'"([a-z]+\.[a-z_0-9]+)"', code))
        patterns.update(re.findall(r'texts\[f"([^"]+)"\]', code))
    names -= {"lab.html", "draw.html", "draw.js", "alone.js", "train.csv"}  # files
    return names, {re.sub(r"\$?\{[^}]*\}", "[a-z_0-9]+", each) for each in patterns}


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_every_word_and_its_places(language):
    english, other = words.read("en"), words.read(language)
    assert set(english) == set(other)
    for name, text in english.items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(other[name])), name


def test_every_word_is_used_and_every_one_used_is_there():
    known = set(words.read("en"))
    names, patterns = page_names()
    assert names - known == set()
    unused = known - names
    left = {each for each in unused if not any(re.fullmatch(p, each) for p in patterns)}
    said_by_value = {each for each in left if each.startswith(("setting.", "help."))}
    assert left - said_by_value == set()
    for pattern in patterns:
        assert any(re.fullmatch(pattern, each) for each in known), pattern


def test_every_control_has_a_name_and_says_what_it_does():
    for language in words.languages():
        texts = words.read(language)
        for group in controls.GROUPS:
            assert f"group.{group}" in texts
        for name in controls.names():
            assert f"setting.{name}" in texts, (language, name)
            assert len(texts[f"help.{name}"]) > 20, (language, name)
        wanted = controls.names()
        extra = [n for n in texts if n.startswith("setting.") and n[8:] not in wanted]
        assert extra == [], language


def test_every_setting_that_changes_in_the_middle_has_a_control():
    from mnistgpu.runs.events import CHANGEABLE

    assert set(CHANGEABLE) <= controls.names() <= set(Settings().as_dict())


def test_an_unknown_language_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="--language fr: the page has no words in it; choose one"):
        words.read("fr")
    with pytest.raises(UsageError, match="no words"):
        words.read("../en")


def test_words_cannot_end_the_script_that_holds_them(monkeypatch):
    monkeypatch.setattr(words, "read", lambda language: {"a.b": "</script><b>&"})
    page = words.filled("<p>{{a.b}}</p>{{words}}", "en")
    assert page.startswith("<p>&lt;/script&gt;&lt;b&gt;&amp;</p>")
    assert "</script>" not in page


def test_the_page_is_small_and_every_file_short():
    """150 KB without pictures, as the browser gets it; no file over 400 lines."""
    for language in words.languages():
        size = len(pages.page_of("lab", language).encode())
        for path in FOLDER.iterdir():
            if path.suffix in pages.TYPES:
                size += path.stat().st_size
        assert size < 150_000, (language, size)
    for path in FOLDER.iterdir():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def test_nothing_is_loaded_from_elsewhere():
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        for found in re.findall(r"https?://[^\s\"'`)]+", text):
            assert found == "http://www.w3.org/2000/svg", (path, found)
