"""Print branch coverage by module, and fail if those that are mutated have too little together.

    coverage run -m pytest && coverage combine && python tests/mutation/branches.py

Processes that the tests start and fork are measured too, unless they are killed: see
[tool.coverage.run] in pyproject.toml.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mutants import modules

LEAST = 95.0  # per cent of the branches of the modules that are mutated


def measured(data):
    """For each module its branches, those that were taken, and the share of both in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", report]
        subprocess.run([*command, f"--data-file={data}"], check=True)
        files = json.loads(report.read_text())["files"]
    found = {}
    for path, each in files.items():
        name = "mnistgpu/" + path.replace("\\", "/").rpartition("mnistgpu/")[2]
        count, taken = each["summary"]["num_branches"], each["summary"]["covered_branches"]
        missing = " ".join(f"{a}-{b}" for a, b in each["missing_branches"])
        found[name] = count, taken, 100.0 * taken / count if count else 100.0, missing
    return found


def main():
    found = measured(sys.argv[1] if len(sys.argv) > 1 else ".coverage")
    for name, (count, taken, share, missing) in sorted(found.items()):
        print(f"{share:6.1f}%  {taken:4} of {count:4}  {name}  {missing[:60]}")
    share = 0.0
    for title, names in (("all", found), ("those that are mutated", modules())):
        count, taken = (sum(found[name][i] for name in names if name in found) for i in (0, 1))
        share = 100.0 * taken / count
        print(f"{share:6.1f}%  {taken} of {count}  {title}")
    return 1 if share < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
