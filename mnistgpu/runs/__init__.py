"""A training run from its first step to its directory on disk, and on after a stop.

Read `training.py` first: the loop. It calls `callbacks.py`, and `stop.py` can end it early.
`history.py` and `outcome.py` are what it collects and leaves; `checks.py` and `health.py` refuse or
warn. `checkpoint.py` is a run between two steps as a file, `checkpointing.py` when it is written,
`resume.py` how a run goes on from it. `run_directory.py` writes the other files, `signals.py` turns
Ctrl-C into a request to stop, `watching.py` keeps what a page or an animation shows, and
`lr_finder.py` searches a learning rate.
"""
