"""Build the site of the documentation anew: every warning is an error, and quick examples run.

Run:  python docs/build.py [--out docs/_build]

Needs the extra `docs`: pip install -e '.[docs]'
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=DOCS / "_build")
arguments = parser.parse_args()
options = ["-W", "--keep-going", "-q", "-E", "-a", "-b", "html", "-d", arguments.out / "doctrees"]
shutil.rmtree(DOCS / "gallery", ignore_errors=True)  # so that no output is that of older code
command = [sys.executable, "-m", "sphinx", *options, DOCS, arguments.out / "html"]
status = subprocess.run([str(part) for part in command]).returncode
if status == 0:
    print(f"the site is in {arguments.out / 'html'}")
sys.exit(status)
