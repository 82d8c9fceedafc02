"""The site of the documentation: its pages are whole, links lead somewhere, phones can read it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.browser import Watched, launched
from helpers.mnist import ROOT

import mnistgpu

DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
IN_SIGHT = ["index.html", "start.html", "explanation.html", "path.html", "recipes.html"]


@pytest.fixture(scope="session")
def site_pages():
    """The extension of Sphinx that makes the pages; its folder stays out of the import path."""
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def site():
    """The folder of the built pages: that of MNISTGPU_SITE, or one built here."""
    if folder := os.environ.get("MNISTGPU_SITE"):
        yield ROOT / folder / "html"
        return
    for name in ("sphinx", "myst_parser", "pydata_sphinx_theme", "numpydoc", "sphinx_gallery"):
        pytest.importorskip(name, reason=f"{name} is missing: pip install -e '.[docs]'")
    with tempfile.TemporaryDirectory() as name:  # of its own: other processes may build as well
        folder = Path(name).resolve()
        generated = shutil.ignore_patterns("gallery", "_build", "__pycache__")
        for path in ROOT.iterdir():
            if path in (DOCS, ROOT / "examples"):
                shutil.copytree(path, folder / path.name, ignore=generated)
            elif path.name != ".git":
                (folder / path.name).symlink_to(path)
        done = subprocess.run(
            [sys.executable, folder / "docs" / "build.py"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder / "docs" / "_build" / "html"


def test_every_page_is_in_the_contents():
    listed = []
    for path in DOCS.glob("*.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(), re.DOTALL):
            listed += [line for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted(listed) == sorted(set(listed))
    assert {name.removesuffix(".md") for name in PAGES} == {*listed, "index"} - {
        "reference",
        "gallery/index",
    }


def test_the_reference_has_every_name_of_the_front_door():
    page = (DOCS / "reference.rst").read_text()
    named = re.findall(r"^\.\. (?:auto\w+|data):: mnistgpu\.(\w+)$", page, re.MULTILINE)
    assert sorted(named) == sorted({*mnistgpu.__all__, "network"} - {"__version__"})


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("docs/api.md#run", "api.md#run"),
        ("docs/images/draw.png", "images/draw.png"),
        ("README.md#the-explanation", "explanation.md#the-explanation"),
        ("README.md#map", "start.md#map"),
        ("CHANGELOG.md", "changelog.md"),
        ("examples/kaggle.py", "gallery/kaggle.rst"),
        ("examples/path/01_one_layer.py", "gallery/path/01_one_layer.rst"),
        ("examples/notebook.py", "{home}/blob/main/examples/notebook.py"),
        ("mnistgpu/network.py", "{home}/blob/main/mnistgpu/network.py"),
        ("docs", "{home}/tree/main/docs"),
        ("docs/nowhere.md", "docs/nowhere.md"),
    ],
)
def test_a_link_leads_to_the_page_that_has_the_file(site_pages, target, leads_to):
    path, mark, anchor = target.partition("#")
    found = site_pages.target_on_the_site(ROOT, path, mark + anchor)
    assert found == leads_to.format(home=mnistgpu_home())


def mnistgpu_home():
    project = (ROOT / "pyproject.toml").read_text()
    return re.search(r'^Homepage = "(.+)"$', project, re.MULTILINE)[1]


def test_links_in_code_stay_as_they_are(site_pages):
    text = "[a](../README.md)\n```python\nx = y[0](../README.md)\n```\n[b](../CHANGELOG.md)\n"
    shown = site_pages.page_text("using", text)
    assert shown == text.replace("[a](../README.md)", "[a](start.md)").replace(
        "../CHANGELOG", "changelog"
    )


def test_lines_about_arguments_become_a_list(site_pages):
    lines = ["Train.", "", "X, y: images", "    and labels. out: a path. Note: it is new.", ""]
    end = ["Raises: never."]
    shown = site_pages.with_sections(lines + end, {"X", "y", "out"})
    start = shown.index("Parameters") + 2
    listed = ["X, y", "    images", "    and labels.", "out", "    a path.", "    Note: it is new."]
    assert shown[start : start + 6] == listed
    assert shown[-1:] == end
    assert site_pages.with_sections(lines + end, set()) == lines + end


def test_the_readme_is_cut_at_its_headings(site_pages):
    start, explanation = (site_pages.readme_part(name) for name in ("start", "explanation"))
    readme = (ROOT / "README.md").read_text()
    for line in filter(None, readme.splitlines()):
        assert (line in start) or (line in explanation) or line.startswith("#"), line
    assert explanation.startswith("# The explanation\n")
    assert "\n## Map\n" in start


@pytest.mark.slow
def test_the_site_is_built_with_every_page(site):
    for name in PAGES:
        page = (site / name).with_suffix(".html").read_text()
        assert "<h1" in page, name
    assert "eight equations" in (site / "start.html").read_text()
    for path in (ROOT / "examples").rglob("*.py"):
        page = site / "gallery" / path.relative_to(ROOT / "examples").with_suffix(".html")
        assert page.exists() == (path.stem != "notebook"), path
    stage = (site / "gallery" / "path" / "12_the_engine.html").read_text()
    assert "largest difference of a weight: " in stage  # it ran
    assert (site / "explanation.html").read_text().count("<math") > 25
    reference = (site / "reference.html").read_text()
    assert 'id="mnistgpu.fit"' in reference
    assert "on_interrupt" in reference


@pytest.mark.slow
def test_every_link_within_the_site_leads_to_a_page_and_a_place(site):
    texts = {path: path.read_text() for path in site.rglob("*.html")}
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    followed = 0
    for path, text in texts.items():
        if path.name in ("search.html", "genindex.html", "py-modindex.html"):
            continue
        for link in re.findall(r'<a [^>]*href="([^"]+)"', text):
            if re.match(r"[a-z]+:", link) or link == "#":
                continue
            name, _, place = link.partition("#")
            there = (path.parent / name).resolve() if name else path
            assert there.exists(), f"{path.name}: {link}"
            if place and there.suffix == ".html":
                assert place in ids[there], f"{path.name}: {link}"
            followed += 1
    assert followed > 1000


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_pages_fit_a_phone_and_need_no_other_machine(site, size, scheme):
    with launched() as browser:
        watched = Watched(browser, size, scheme)
        asked = []
        watched.page.on("request", lambda request: asked.append(request.url))
        for name in [*IN_SIGHT, "reference.html", "gallery/path/02_hidden_layer.html"]:
            watched.page.goto((site / name).as_uri())
            assert watched.fits(), name
            watched.picture(f"site-{Path(name).stem}-{size}-{scheme}")
            shade = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", shade)[:3])) > 3 * 128
            assert light == (scheme == "light"), name
        assert not watched.complaints
        assert all(url.startswith(("file:", "data:")) for url in asked)
