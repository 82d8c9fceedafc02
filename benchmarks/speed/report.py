"""What was measured, as Markdown: the goals first, then every figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def duration(seconds: float) -> str:
    """1.23 s, 4.56 ms or 789 µs: three figures."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def times_table(times: Mapping[str, Any], against: str) -> str:
    """Median, range and the ratio to one of the systems."""
    base = times[against]["median"] if against in times else None
    return table(
        ("system", "median", "range", f"x {against}"),
        (
            (
                name,
                duration(t["median"]),
                f"{duration(t['low'])} to {duration(t['high'])}",
                f"{t['median'] / base:.2f}" if base else "",
            )
            for name, t in times.items()
        ),
    )


def goals_table(goals: Iterable[Mapping[str, Any]]) -> str:
    """Each goal and what was reached."""
    return table(
        ("work", "against", "reached", "goal", ""),
        (
            (
                goal["work"],
                goal["against"],
                f"{goal['reached']:.2f}",
                f"≤ {goal['goal']:g}",
                "met" if goal["reached"] <= goal["goal"] else "**missed**",
            )
            for goal in goals
        ),
    )


def conditions(results: Mapping[str, Any]) -> str:
    """Where and how the figures were measured."""
    machine = results["machine"]
    return (
        f"{machine['device']}; BLAS {machine['blas']}; {machine['versions']}. "
        f"{results['mode']} mode, {results['repeats']} repeats, medians; "
        f"sgemm peak {results['sgemm']['all']:.0f} GFLOP/s "
        f"({results['sgemm']['one']:.0f} on one thread). "
        f"Load before the start {machine['load']}."
    )


def verdict(goals: Sequence[Mapping[str, Any]]) -> str:
    """How many goals are met, and which are not."""
    missed = [goal for goal in goals if goal["reached"] > goal["goal"]]
    names = "; ".join(f"{goal['work']}, against {goal['against']}" for goal in missed)
    return f"{len(goals) - len(missed)} of {len(goals)} goals are met" + (
        f". Missed: {names}." if missed else "."
    )


def medians_table(sections: Sequence[Mapping[str, Any]]) -> str:
    """The median of each system by section: a line for each section, a column for each system.

    Systems of fewer than three sections have no column, and sections of one system no line.
    """
    counts = Counter(name for section in sections for name in section["times"])
    systems = [name for name, count in counts.items() if count > 2]
    lines = []
    for section in sections:
        times = section["times"]
        cells = [duration(times[name]["median"]) if name in times else "" for name in systems]
        if sum(map(bool, cells)) > 1:
            lines.append((section["title"], *cells))
    return table(("median", *systems), lines)


def summary(results: Mapping[str, Any]) -> str:
    """The goals, and the median of each system."""
    parts = [
        conditions(results),
        verdict(results["goals"]),
        goals_table(results["goals"]),
        medians_table(results["sections"]),
        *(f"**{fact['title']}** {fact['text']}" for fact in results["facts"]),
    ]
    return "\n\n".join(parts) + "\n"


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report."""
    parts = [conditions(results), verdict(results["goals"]), goals_table(results["goals"])]
    for section in results["sections"]:
        parts.append(f"**{section['title']}** {section['note']}".strip())
        parts.append(times_table(section["times"], section["against"]))
        for name, why in section.get("missing", {}).items():
            parts.append(f"Left out: {name} ({why}).")
    for fact in results["facts"]:
        parts.append(f"**{fact['title']}** {fact['text']}")
    return "\n\n".join(parts) + "\n"
