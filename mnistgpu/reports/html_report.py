"""An evaluation as one web page, complete in one file, in light and dark colours.

Charts are drawn as SVG in the page and digits as PNG in data URIs, so that the page can be mailed.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import __version__, network
from mnistgpu.models.committee import Committee
from mnistgpu.reports import metrics
from mnistgpu.reports.evaluation import Curve, Evaluation, share

if TYPE_CHECKING:
    from mnistgpu.models.model import Model

MARK = b'<meta name="generator" content="mnistgpu">'  # marks a report that this program made
WORST = 32  # mistakes shown
WIDTH, HEIGHT = 320, 200  # of a chart
LEFT, RIGHT, TOP, BOTTOM = 40, 18, 10, 34  # its margins

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1d2433; --soft: #667085;
  --line: #e4e2dd; --blue: #0072b2; --wrong: 213, 94, 0; --pale: #e3edf4; }
@media (prefers-color-scheme: dark) { :root { --paper: #12151c; --card: #1a1f29; --ink: #e8eaf0;
  --soft: #98a2b3; --line: #2c3341; --blue: #58b4ea; --wrong: 255, 138, 61; --pale: #22384a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 20px 60px; }
h1 { font-size: 1.1rem; margin: 0; font-weight: 600; }
h2 { font-size: 1.15rem; margin: 44px 0 4px; }
p { margin: 0 0 14px; max-width: 70ch; }
.soft, caption, figcaption, th { color: var(--soft); }
.score { font-size: clamp(3rem, 10vw, 5rem); font-weight: 700; letter-spacing: -0.03em;
  line-height: 1.15; }
.cards { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
@media (min-width: 900px) { .uneven { grid-template-columns: 3fr 2fr; } }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px; overflow-x: auto; margin: 0; }
.card h3 { margin: 0 0 8px; font-size: 0.95rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
td, th { padding: 4px 7px; text-align: right; font-weight: 400; }
.matrix { table-layout: fixed; font-size: clamp(0.62rem, 2.1vw, 0.9rem); }
.matrix td, .matrix th { border: 2px solid var(--card); text-align: center; padding: 6px 0; }
.matrix td.right { background: var(--pale); font-weight: 600; }
tbody tr + tr td, tbody tr + tr th { border-top: 1px solid var(--line); }
.matrix tbody tr + tr td, .matrix tbody tr + tr th { border-top: 2px solid var(--card); }
svg { display: block; width: 100%; max-width: 460px; height: auto; margin: 0 auto; }
svg text { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); }
svg .curve { fill: none; stroke: var(--blue); stroke-width: 2.5; stroke-linejoin: round; }
svg .dot, svg .bar { fill: var(--blue); }
svg .band { fill: var(--blue); opacity: 0.16; }
svg .ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
.digits { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); }
.digits figure { margin: 0; }
.digits img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  border-radius: 8px; background: #000; display: block; }
.digits figcaption { font-size: 0.85rem; line-height: 1.35; padding-top: 4px; }
.digits b { color: rgb(var(--wrong)); }
code { display: block; background: var(--card); border: 1px solid var(--line); padding: 10px 14px;
  border-radius: 8px; overflow-x: auto; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
"""


def page(found: Evaluation, trained: Model | Committee, name: str, command: str) -> str:
    """The page as text. `name` is what the network is called, `command` what made the page."""
    low, high = found.interval
    sections = [
        f'<h1>{escape(name)} <span class="soft">on {escape(found.digits.source)}</span></h1>',
        f'<div class="score">{share(found.accuracy, 2)}</div>',
        f"<p>{found.right:,} of {len(found.digits):,} digits right; the true accuracy lies between "
        f"{share(low, 2)} and {share(high, 2)} (95% interval after Wilson). "
        f'<span class="soft">{escape(described(trained))}</span></p>',
        *where_wrong(found),
        *how_sure(found),
        *how_robust(found.curves),
        *worst_mistakes(found),
        "<h2>Made by</h2>",
        f"<code>{escape(command)}</code>",
        f'<p class="soft">mnistgpu {__version__}; digest of the data '
        f"{escape(found.digits.digest[:16])}</p>",
    ]
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'{MARK.decode()}\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(name)}: {share(found.accuracy, 2)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def described(trained: Model | Committee) -> str:
    """The network in a sentence."""
    if isinstance(trained, Committee):
        copies = f", each averaged over {trained.maps} deformed copies" if trained.maps else ""
        return f"A committee of {len(trained.members)} networks{copies}."
    layers = "-".join(map(str, trained.sizes))
    count = network.parameter_count(trained.sizes)
    return f"Layers {layers}, {count:,} parameters, {trained.activation} units."


def where_wrong(found: Evaluation) -> list[str]:
    """The confusion matrix, and precision and recall of each class."""
    counts = found.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0.0)
    deepest = shares.max() or 1.0
    classes, names = range(len(counts)), [escape(name) for name in found.shown]
    rows = []
    for digit in classes:
        cells = "".join(
            f'<td class="right">{counts[digit, answer]}</td>'
            if digit == answer
            else shaded(counts[digit, answer], shares[digit, answer] / deepest)
            for answer in classes
        )
        rows.append(f'<tr><th scope="row">{names[digit]}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    figures = "".join(
        f'<tr><th scope="row">{names[digit]}</th><td>{share(found.classes.precision[digit])}</td>'
        f"<td>{share(found.classes.recall[digit])}</td><td>{share(found.classes.f1[digit])}</td>"
        f"<td>{counts[digit].sum():,}</td></tr>"
        for digit in classes
    )
    return [
        "<h2>Which digits it confuses</h2>",
        "<p>Each row is a true digit, each column an answer. The deeper the colour, the larger the "
        "share of the row that was answered so.</p>",
        '<div class="cards uneven"><div class="card"><table class="matrix"><thead><tr><td></td>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<div class="card"><table><thead><tr><th scope="col">digit</th>'
        '<th scope="col">precision</th><th scope="col">recall</th><th scope="col">F1</th>'
        f'<th scope="col">images</th></tr></thead><tbody>{figures}</tbody></table></div></div>',
    ]


def shaded(count: int, depth: float) -> str:
    """A cell of mistakes."""
    if count == 0:
        return '<td class="soft">·</td>'
    return f'<td style="background: rgba(var(--wrong), {0.12 + 0.68 * depth:.2f})">{count}</td>'


def how_sure(found: Evaluation) -> list[str]:
    """Reliability diagram and thresholds."""
    rows = "".join(
        f'<tr><th scope="row">{row.confidence:.0%}</th><td>{row.refused:,}</td>'
        f"<td>{row.wrong:,}</td><td>{share(row.accuracy, 2)}</td></tr>"
        for row in found.thresholds
    )
    return [
        "<h2>How sure it is</h2>",
        f"<p>On average its probabilities differ from its accuracy by "
        f"{share(found.calibration_error, 2)} (expected calibration error). On the dashed line "
        "both are equal: 80% of the answers with a probability of 80% are right.</p>",
        '<div class="cards"><div class="card"><h3>Right answers, by probability</h3>'
        f"{reliability_chart(found.reliability)}</div>"
        '<div class="card"><h3>If less probable answers are refused</h3><table><thead><tr>'
        '<th scope="col">below</th><th scope="col">refused</th><th scope="col">wrong</th>'
        f'<th scope="col">right of the rest</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "</div>",
    ]


def how_robust(curves: Sequence[Curve]) -> list[str]:
    """A chart for each change of the images."""
    if not curves:
        return []
    worst = min(metrics.wilson_interval(min(curve.right), curve.count)[0] for curve in curves)
    lowest = math.floor(5 * min(0.8, worst)) / 5  # one scale for all, to compare them
    cards = "".join(
        f'<div class="card"><h3>{escape(curve.trial.name)}</h3>'
        f"{robustness_chart(curve, lowest)}</div>"
        for curve in curves
    )
    return [
        "<h2>How robust it is</h2>",
        f"<p>Accuracy on changed copies of {curves[0].count:,} of the digits; the band is the 95% "
        "interval.</p>",
        f'<div class="cards">{cards}</div>',
    ]


def worst_mistakes(found: Evaluation) -> list[str]:
    """The wrong answers with the highest probabilities."""
    shown = found.worst[:WORST]
    if len(shown) == 0:
        return ["<h2>Worst mistakes</h2>", "<p>None: every answer was right.</p>"]
    labels, names = np.asarray(found.digits.labels), [escape(name) for name in found.shown]
    figures = []
    for i in shown:
        answer = int(np.argmax(found.probabilities[:, i]))
        sure = share(found.probabilities[answer, i], 0)
        uri = png(found.digits.images[i].reshape(found.digits.image_shape))
        figures.append(
            f'<figure><img src="{uri}" alt="image {i}" title="image {i}">'
            f"<figcaption>answer <b>{names[answer]}</b>, {sure}<br>label "
            f"{names[labels[i]]}</figcaption>"
            "</figure>"
        )
    return [
        "<h2>Worst mistakes</h2>",
        f"<p>{len(shown)} of {len(found.worst):,} wrong answers, the most probable first.</p>",
        f'<div class="digits">{"".join(figures)}</div>',
    ]


def png(image: np.ndarray) -> str:
    """An image (H, W) uint8 as a data URI."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def robustness_chart(curve: Curve, lowest: float) -> str:
    """Accuracy, from `lowest` to 1, over the strength of a change."""
    xs = curve.trial.strengths
    x0, x1 = min(xs), max(xs)
    bounds = [metrics.wilson_interval(right, curve.count) for right in curve.right]

    def place(x: float, y: float) -> str:
        across = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        down = TOP + (1.0 - y) / (1.0 - lowest) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{down:.1f}"

    highs = [place(x, high) for x, (_, high) in zip(xs, bounds, strict=True)]
    lows = [place(x, low) for x, (low, _) in zip(xs, bounds, strict=True)]
    points = [place(x, y) for x, y in zip(xs, curve.accuracy, strict=True)]
    dots = "".join(
        f'<circle class="dot" cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3.5">'
        f"<title>{x:g} {escape(curve.trial.unit)}: {share(y)}</title></circle>"
        for point, x, y in zip(points, xs, curve.accuracy, strict=True)
    )
    return (
        frame(lowest, [(f"{x:g}", (x - x0) / (x1 - x0)) for x in xs], curve.trial.unit)
        + f'<polygon class="band" points="{" ".join([*highs, *reversed(lows)])}"/>'
        + f'<polyline class="curve" points="{" ".join(points)}"/>{dots}</svg>'
    )


def reliability_chart(bins: metrics.Reliability) -> str:
    """The share of right answers in each bin of probability, beside the line where both agree."""
    inner, count = WIDTH - LEFT - RIGHT, len(bins.counts)
    # a bar without height would look like an empty bin
    heights = [max(2.0, right * (HEIGHT - TOP - BOTTOM)) for right in bins.accuracy]
    bars = "".join(
        f'<rect class="bar" x="{LEFT + b / count * inner + 1:.1f}" '
        f'y="{HEIGHT - BOTTOM - heights[b]:.1f}" width="{inner / count - 2:.1f}" '
        f'height="{heights[b]:.1f}" opacity="{0.35 if n < 30 else 1}">'
        f"<title>{n:,} answers of {b / count:.0%} to {(b + 1) / count:.0%}: {share(right)} right"
        "</title></rect>"
        for b, (n, right) in enumerate(zip(bins.counts, bins.accuracy, strict=True))
        if n
    )
    ticks = [(f"{x:.0%}", x) for x in (0, 0.25, 0.5, 0.75, 1)]
    return (
        frame(0.0, ticks, "probability (pale: fewer than 30 answers)")
        + bars
        + f'<line class="ideal" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" '
        f'y2="{TOP}"/></svg>'
    )


def frame(lowest: float, ticks: Sequence[tuple[str, float]], unit: str) -> str:
    """The start of a chart: lines of equal accuracy from `lowest` to 1, ticks below, the unit."""
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="accuracy by {unit}">']
    for i in range(5):
        y = TOP + i / 4 * (HEIGHT - TOP - BOTTOM)
        value = 1 - i / 4 * (1 - lowest)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.4g}%</text>'
        )
    for text, at in ticks:
        x = LEFT + at * (WIDTH - LEFT - RIGHT)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{text}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{unit}</text>')
    return "".join(parts)
