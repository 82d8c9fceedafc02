"""Pages of the site from what GitHub shows in other ways: an extension of Sphinx.

- `start.md`, `explanation.md`, `changelog.md` and `contributing.md` say on GitHub where their text
  is; on the site they hold it.
- Links that leave docs/ lead to the page that has the file, or to the file on GitHub.
- Lines such as `X, y: what they are` in docstrings become numpydoc's list of parameters.
- Formulas are MathML, which browsers show without a script.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
HOME = "https://github.com/mnistgpu/mnistgpu"
LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")
ENTRY = re.compile(r"(\w+(?:, \w+)*): ")
AGAIN = re.compile(r"(?<=\.) (?=\w+(?:, \w+)*: )")
FENCED = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)

# Examples that run while the site is built, and their arguments. The others need data of yours,
# a GPU or minutes.
OUT = DOCS / "gallery" / "written"  # what they write
ARGUMENTS = {
    "eight_equations": ["--iterations", "50", "--images", "10000"],
    "deformations": ["--out", str(OUT / "deformations.png")],
    "own_digit": [str(ROOT / "tests" / "golden" / "photo-7.jpg")],
}
RUN = "(/path/|" + "|".join(rf"{name}\.py" for name in ARGUMENTS) + ")"


def readme_part(name: str) -> str:
    """What `start` and `explanation` hold of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, heading, rest = text.partition("## The explanation\n")
    explanation, _, site_map = rest.partition("## Map\n")
    if not (heading and site_map):
        raise ValueError("README.md has no longer the headings that the site cuts it at")
    if name == "start":
        return f"{before}## Map\n{site_map}".replace("# mnistgpu\n", "# Start\n", 1)
    return re.sub("^##", "#", heading + explanation, flags=re.MULTILINE)


# Pages whose text is elsewhere: the file, from which its links count, and the text.
ELSEWHERE = {
    "start": ("README.md", lambda: readme_part("start")),
    "explanation": ("README.md", lambda: readme_part("explanation")),
    "changelog": ("CHANGELOG.md", lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
    "contributing": (
        "CONTRIBUTING.md",
        lambda: (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    ),
}
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def page_text(docname: str, text: str) -> str:
    """The Markdown of a page, with its text from elsewhere and its links as the site has them."""
    source = f"docs/{docname}.md"
    if docname in ELSEWHERE:
        source, read = ELSEWHERE[docname]
        text = read()
    folder = (ROOT / source).parent
    parts = FENCED.split(text)
    parts[::2] = [
        LINK.sub(lambda link: target_on_the_site(folder, link[1], link[2] or ""), part)
        for part in parts[::2]
    ]
    return "".join(parts)


def target_on_the_site(folder: Path, path: str, anchor: str) -> str:
    """Where a link from a file in `folder` leads on the site."""
    there = Path(os.path.normpath(folder / path))
    if not there.is_relative_to(ROOT) or not there.exists():
        return path + anchor  # Sphinx warns of it
    name = there.relative_to(ROOT).as_posix()
    if name == "README.md":
        return "explanation.md" + anchor if anchor == "#the-explanation" else "start.md" + anchor
    if name in PAGES:
        return PAGES[name] + anchor
    if there.is_relative_to(DOCS) and there != DOCS:
        return there.relative_to(DOCS).as_posix() + anchor
    if re.fullmatch(r"examples/(path/)?\w+\.py", name) and there.stem != "notebook":
        return f"gallery/{name.removeprefix('examples/').removesuffix('.py')}.rst"
    return f"{HOME}/{'tree' if there.is_dir() else 'blob'}/main/{name}{anchor}"


def read_page(app: Any, docname: str, source: list[str]) -> None:
    """Sphinx's event source-read: change the text of a page before it is parsed."""
    if docname.startswith("gallery/"):
        source[0] = with_title(source[0]).replace(f"{OUT}{os.sep}", "")
    elif (DOCS / f"{docname}.md").exists():
        source[0] = page_text(docname, source[0])


def with_title(text: str) -> str:
    """An example's page with its first sentence, up to a colon, as the title.

    Docstrings of examples begin with a sentence, where sphinx-gallery expects a heading.
    """
    label = re.search(r"^\.\. _sphx_glr_\S+\.py:\n\n", text, re.MULTILINE)
    if label is None:  # the page that lists the examples
        return text
    head, body = text[: label.end()], text[label.end() :].lstrip("\n")
    sentence, _, rest = body.partition("\n\n")
    title, _, more = " ".join(sentence.split()).partition(": ")
    title = title.rstrip(".")
    if more:
        more = f"{more[0].upper()}{more[1:]}\n\n"
    return f"{head}{title}\n{'=' * len(title)}\n\n{more}{as_code(rest)}"


def as_code(text: str) -> str:
    """The first line `Run:  command` of an example as a block of code."""
    return re.sub(
        r"^Run: +(.+)$", r".. code-block:: sh\n\n    \1", text, count=1, flags=re.MULTILINE
    )


class Arguments:
    """The command line of each example that runs, for sphinx-gallery."""

    def __call__(self, gallery_conf: Any, script_vars: dict[str, Any]) -> list[str]:
        OUT.mkdir(parents=True, exist_ok=True)
        tree = ast.parse(Path(script_vars["src_file"]).read_text(encoding="utf-8"))
        script_vars["example_globals"]["__doc__"] = ast.get_docstring(tree)  # for argparse
        return ARGUMENTS.get(Path(script_vars["src_file"]).stem, [])

    def __repr__(self) -> str:
        return "Arguments"  # no address, so that Sphinx sees an unchanged configuration


def written_pictures(block: Any, block_vars: dict[str, Any], gallery_conf: Any) -> str:
    """A scraper of sphinx-gallery: show the pictures that an example has written."""
    from sphinx_gallery.scrapers import figure_rst

    shown = []
    for picture in sorted(OUT.glob("*.png")):
        shown.append(next(block_vars["image_path_iterator"]))
        Path(shown[-1]).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(picture, shown[-1])
    return figure_rst(shown, gallery_conf["src_dir"])


def list_parameters(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Sphinx's event autodoc-process-docstring: `X, y: text` becomes numpydoc's section."""
    try:
        known = set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return
    lines[:] = with_sections(lines, known)


def with_sections(lines: list[str], known: set[str]) -> list[str]:
    """Docstring lines with a section Parameters in place of the lines that explain `known`."""
    before: list[str] = []
    entries: list[str] = []
    after: list[str] = []
    inside = False
    for line in lines:
        pieces = AGAIN.split(line.strip())  # "run: the directory. out: another"
        if inside and not line.startswith("    "):
            inside = False
        if inside or (not line.startswith(" ") and names_of(pieces[0], known)):
            for piece in pieces:
                names = names_of(piece, known)
                text = piece[len(names) + 2 :] if names else piece
                entries += [names, f"    {text}"] if names else [f"    {text}"]
            inside = True
        else:
            (after if entries else before).append(line)
    if not entries:
        return lines
    notes = ["", "Notes", "-----", *after] if any(line.strip() for line in after) else []
    return [*before, "", "Parameters", "----------", *entries, *notes]


def names_of(text: str, known: set[str]) -> str:
    """`X, y` of "X, y: what they are" if these are arguments, else nothing."""
    found = ENTRY.match(text)
    names = found[1] if found else ""
    return names if {each.strip() for each in names.split(",")} <= known else ""


def visit_math(self: Any, node: Any) -> None:
    """A formula, within a line or alone, as MathML."""
    from docutils import nodes  # here, so that the tests of the text need no docutils
    from docutils.utils.math.latex2mathml import tex2mathml

    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Connect all of it to Sphinx."""
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", list_parameters, priority=100)  # before numpydoc
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
