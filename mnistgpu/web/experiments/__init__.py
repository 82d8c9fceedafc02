"""The guided experiments of the lab: a question, guesses, a few runs, and what they show.

Each is a TOML file in this folder, `NAME.toml`, and `NAME.de.toml` has its words in German.
docs/experiments.md says how to add one. Read `experiment.py` first: what an experiment is.
`reading.py` makes one of a file (`file.py` checks its keys, `words.py` takes the words of another
language), `claims.py` has what texts say about numbers, `numbers.py` all numbers that there are,
and `running.py` trains the networks. No web page is needed for any of it.
"""

from mnistgpu.web.experiments.experiment import Experiment
from mnistgpu.web.experiments.reading import found, read
from mnistgpu.web.experiments.running import Result, check, run

__all__ = ["Experiment", "Result", "check", "found", "read", "run"]
