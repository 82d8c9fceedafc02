"""Plants errors that only a GPU would show, one by one, and says which the tests for a GPU notice.

`run.py` runs it, with CuPy on the CPU. The lists are errors/at_once.toml, and errors/lazy.toml for
those that show where work on a stream is done late. See ../planted for how errors are planted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "planted"))
import plant  # noqa: E402

MODES = {"at_once": {}, "lazy": {"CPUSHIM_LAZY": "1"}}


def main() -> int:
    failed = 0
    errors = plant.errors(HERE / "errors")
    for mode, variables in MODES.items():
        os.environ.update(variables)
        chosen = [error for error in errors if error.room == mode]
        failed |= plant.plant(dict(enumerate(chosen, 1)), ROOT, jobs=2)
    return failed


if __name__ == "__main__":
    sys.exit(main())
