"""The results of benchmarks/gpu.py as Markdown, with the goals and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speed.gpu_peers import PEERS
from speed.gpu_works import COPY, PRODUCT, SMALL, TINY, WIDE, WORKS, Work


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f"Measured on {result['machine']}.", "", f"Software: {result['software']}.", ""]
    lines += [f"- {each['check']}: {each['said']}" for each in result.get("checks", [])]
    lines += [""] if result.get("checks") else []
    peers = list(PEERS)
    lines += ["| milliseconds a step | " + " | ".join(peers) + " | arithmetic, TFLOP/s of ours |"]
    lines += ["|---" * (len(peers) + 2) + "|"]
    for name, work in ({work.name: work for work in TINY.works} | WORKS).items():
        if not any("ms" in found for found in result["steps"].get(name, {}).values()):
            continue
        cells = []
        for peer in peers:
            found = result["steps"].get(name, {}).get(peer, {})
            cells.append(f"{found['ms']:.3f}" if "ms" in found else "-")
        own = result["steps"].get(name, {}).get("mnistgpu cupy", {})
        rate = f"{work.operations / own['ms'] / 1e9:.1f}" if "ms" in own else "-"
        lines.append(f"| {name} | {' | '.join(cells)} | {rate} |")
    if result["limits"]:
        lines += ["", "| limit | measured |", "|---|---|"]
        for each in result["limits"]:
            value = f"{each['value']:.2f}" if each["value"] is not None else f"- ({each['why']})"
            lines.append(f"| {each['limit']} | {value} |")
    if result["whole"]:
        lines += ["", "| whole process | precision | steps | seconds | of them training | test |"]
        lines += ["|---" * 6 + "|"]
        for each in result["whole"]:
            steps = "replayed" if each["graph"] else "eager"
            lines.append(
                f"| {each['whole']}, {each['backend']} | {each['precision']} | {steps} | "
                f"{each['seconds']:.1f} | {each['training']:.1f} | {each['accuracy']:.4f} |"
            )
    measured = any("mnistgpu cupy" in found for found in result["steps"].values())
    if measured and not result.get("tiny"):
        lines += ["", "| goal | asked for | measured | |", "|---|---|---|---|"]
        for name, asked, measured, reached in goals(result):
            lines.append(f"| {name} | {asked} | {measured} | {reached} |")
    if result["left out"]:
        lines += ["", "Left out:", ""] + [f"- {each}" for each in result["left out"]]
    return "\n".join(lines) + "\n"


Row = tuple[str, str, str, str]
OURS = ("mnistgpu cupy", "mnistgpu graph")
OTHERS = ("torch eager", "torch compile", "torch graph", "jax scan")


def goals(result: dict[str, Any]) -> Iterator[Row]:
    """Each goal, what was measured, and whether it is reached; - if it was not measured."""

    def ms(work: Work, *peers: str) -> float | None:
        found = result["steps"].get(work.name, {})
        return min(
            (found[peer]["ms"] for peer in peers if "ms" in found.get(peer, {})), default=None
        )

    def share(above: float | None, below: float | None) -> float | None:
        return None if above is None or below is None else above / below

    def at_most(name: str, asked: str, bound: float, value: float | None) -> Row:
        measured = "-" if value is None else f"{value:.2f}"
        reached = "-" if value is None else "yes" if value <= bound else "no"
        return name, f"<= {bound:g} {asked}", measured, reached

    limits = {each["limit"]: each["value"] for each in result["limits"]}
    full, small, wide, wide32 = SMALL[0], SMALL[1], Work(WIDE, 1024, "tf32"), Work(WIDE, 1024)
    copy, rate = limits.get(COPY), limits.get(PRODUCT.format("tf32"))
    read, arithmetic = copy and copy / 2, rate and wide.operations / rate / 1e9

    own = ms(full, *OURS)
    yield at_most(full.name, "of PyTorch eager", 0.5, share(own, ms(full, "torch eager")))
    yield at_most(full.name, "of the best peer", 1.0, share(own, ms(full, *OTHERS)))
    yield at_most(full.name, "of reading the images once", 1.5, share(own, read))
    in_bytes = share(ms(full, "mnistgpu bytes"), ms(full, "mnistgpu graph"))
    yield at_most(full.name, "of the same by products of floats, if of bytes", 1.0, in_bytes)
    own = ms(small, *OURS)
    yield at_most(small.name, "of PyTorch eager", 0.3, share(own, ms(small, "torch eager")))
    yield at_most(small.name, "of PyTorch's graph", 1.0, share(own, ms(small, "torch graph")))
    yield at_most(small.name, "of JAX scan", 1.0, share(own, ms(small, "jax scan")))
    own = ms(wide, *OURS)
    yield at_most(wide.name, "of PyTorch eager", 0.9, share(own, ms(wide, "torch eager")))
    yield at_most(wide.name, "of the arithmetic", 1.5, share(own, arithmetic))
    own, cpu = ms(wide32, *OURS), ms(wide32, "mnistgpu numpy")
    yield at_most(f"{wide32.name}, on the GPU", "of the CPU's time", 0.05, share(own, cpu))
    runs = [each for each in result["whole"] if each["whole"] == "record"]
    for accuracy in (0.9970, 0.9975):
        good = [each["seconds"] for each in runs if each["accuracy"] >= accuracy]
        best = max((each["accuracy"] for each in runs), default=None)
        measured = f"{min(good):.0f} s" if good else "-" if best is None else f"at most {best:.2%}"
        reached = "-" if best is None else "yes" if good and min(good) <= 120 else "no"
        yield "record, whole run", f">= {accuracy:.2%} in <= 120 s", measured, reached
