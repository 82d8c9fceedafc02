"""The pages judged by axe-core: contrast, names of controls, order of headings, use by keys.

`npm pack axe-core@4` gets axe-core, and MNISTGPU_AXE names its axe.min.js.
"""

import os
import re
from pathlib import Path

import pytest
from helpers import lab as labs
from helpers.browser import Watched
from helpers.lab import opened, text_of

from mnistgpu.web import server

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
pages = pytest.importorskip("mnistgpu.web.pages", reason="starlette is missing")
FOLDER = pages.FOLDER
AXE = os.environ.get("MNISTGPU_AXE")
needs_axe = pytest.mark.skipif(
    not AXE, reason="axe-core is missing: npm pack axe-core@4, and name axe.min.js by MNISTGPU_AXE"
)


@pytest.fixture(scope="module")
def lab(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with labs.running(labs.small_set(digits), folder, epochs=3) as running:
        running.do("change", name="learning_rate", value=0.5)
        running.do("epoch")
        running.reach(13)
        yield running


def violations(page):
    """What axe-core finds wrong, in lines."""
    session = page.context.new_cdp_session(page)  # past the page's own content security policy
    session.send("Runtime.evaluate", {"expression": Path(AXE).read_text(encoding="utf-8")})
    asked = "axe.run(document, { resultTypes: ['violations'] })"
    answer = session.send(
        "Runtime.evaluate",
        {
            "expression": f"{asked}.then(found => found.violations)",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    return [
        f"{each['id']}: {node['html'][:120]}: {node['failureSummary'][:300]}"
        for each in answer["result"]["value"]
        for node in each["nodes"]
    ]


def open_all(page):
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("part", ["train", "neuron", "layers", "beside", "experiments"])
def test_the_lab(browser, lab, part, scheme):
    _, page = opened(browser, lab, scheme=scheme)
    text_of(page, "#where", "At iteration 13")
    page.click(f"#tab-{part}")
    if part == "neuron":
        text_of(page, "#image-says", "The network says")
        page.click("#open-1")
        page.wait_for_function("() => document.querySelectorAll('#responds figure').length === 10")
        lab.post("edit", what="off", layer=1, unit=0)
        text_of(page, "#edit-list", "switched off")
    if part == "layers":
        text_of(page, "#plane-says", "After step 13")
    if part == "beside":
        lab.post("trial/beside", difference="rate", value="2")
        text_of(page, "#differ-count", "of 500 images", timeout=180_000)
    if part == "experiments":
        page.click("#experiment-zero-weights")
        page.check("#guess-1")
        page.click("#experiment-run")
        text_of(page, "#experiment-result", "What happened", timeout=180_000)
    open_all(page)
    assert violations(page) == []


@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_drawing_page(browser, trained, scheme):
    place = server.open_door("127.0.0.1", 0)
    with server.Background(draw.make_app(trained, "a test"), place.bound):
        view = Watched(browser, scheme=scheme)
        view.page.goto(place.address)
        view.page.wait_for_function("() => document.querySelectorAll('.bar').length === 10")
        assert violations(view.page) == []


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("path", "papers", "inks"),
    [
        (
            FOLDER / "lab.css",
            ("desk", "card"),
            ("text", "soft", "train", "validation", "event", "wrong", "good", "accent"),
        ),
        (FOLDER.with_name("draw.html"), ("desk", "paper"), ("text", "soft", "accent", "wrong")),
    ],
    ids=["lab", "draw"],
)
def test_every_ink_is_seen_on_every_paper(path, papers, inks):
    """At least 4.5:1, in both schemes, also where axe-core is not at hand."""
    roots = re.findall(r":root \{(.*?)\}", path.read_text(encoding="utf-8"), re.DOTALL)
    assert len(roots) == 2
    schemes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", root)) for root in roots]
    for number, own in enumerate(schemes):
        for paper in papers:
            for ink in inks:
                found = contrast(own[ink], own[paper])
                assert found >= 4.5, (("light", "dark")[number], ink, paper, round(found, 2))
    for own in schemes:
        if "on-accent" in own and len(own["on-accent"]) == 7:
            assert contrast(own["on-accent"], own["accent"]) >= 4.5
