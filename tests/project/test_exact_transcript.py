"""The transcript of the README and of docs/exact.md is what its commands print, here too."""

import subprocess
import sys

import pytest
from helpers.mnist import ROOT


@pytest.mark.slow
def test_two_kernels_print_the_digest_of_the_readme():
    script = ROOT / "benchmarks" / "exact_transcript.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
