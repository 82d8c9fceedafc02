"""What has been measured so far: times, goals and facts; each is printed when it is added."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from speed import clock, report
from speed.modes import Mode


@dataclass
class Results:
    """Everything that goes into the report."""

    mode: Mode
    sections: list[dict[str, Any]] = field(default_factory=list)
    goals: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, str]] = field(default_factory=list)
    sgemm: dict[str, float] = field(default_factory=dict)

    def section(
        self,
        title: str,
        times: dict[str, clock.Times],
        against: str,
        note: str = "",
        missing: dict[str, str] | None = None,
    ) -> None:
        """Add a table of times, and show it."""
        found = {
            "title": title,
            "note": note,
            "against": against,
            "times": {name: asdict(t) for name, t in times.items()},
            "missing": missing or {},
        }
        self.sections.append(found)
        print(f"\n{title}\n" + report.times_table(found["times"], against), flush=True)
        for name, why in found["missing"].items():
            print(f"left out: {name} ({why})", flush=True)

    def goal(self, work: str, against: str, reached: float | None, at_most: float) -> None:
        """Add a line to the table of goals, unless the ratio is None: something was missing."""
        if reached is None:
            return
        self.goals.append({"work": work, "against": against, "reached": reached, "goal": at_most})
        print(f"{work}: {reached:.2f} of {against}, goal {at_most:g}", flush=True)

    def fact(self, title: str, text: str) -> None:
        """Add a line of text."""
        self.facts.append({"title": title, "text": text})
        print(f"\n{title} {text}", flush=True)


def ratio(times: dict[str, clock.Times], name: str, to: str) -> float | None:
    """The ratio of two medians; None if one of the two is missing."""
    return times[name].median / times[to].median if name in times and to in times else None
