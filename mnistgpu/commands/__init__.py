"""What the commands do, each a function that Python can call too, and what they print.

Read `training.py` first: `mnistgpu train`, which prints with `progress.py` (bar or lines).
`judging.py` is evaluate, compare and committee, `answering.py` predict and submit, `plotting.py`
plot, `searching.py` recipes and lr-find, `doctor.py` the self-check; `mnistgpu draw` is in `web/`.
`networks.py` loads the networks and digits that arguments name, `beginning.py` the settings and
digits of a new run. `flags.py` makes a flag of each setting, whose help text is in `settings.py`;
the other flags are in `cli.py` and `train.py`. `quick.py` converts flags faster than typer.
`app.py` prints an error as one sentence and ends with its exit status, which is in `errors.py`.
"""
