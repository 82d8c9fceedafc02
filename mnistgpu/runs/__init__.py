"""A training run from its first step to its directory on disk, and on after a stop.

Read `training.py` first: the loop. `run_directory.py` and `checkpoint.py` keep a run on disk and go
on with it bit for bit, `signals.py` turns Ctrl-C into a request to stop, `health.py` says when
nothing will be learnt, `watching.py` keeps what a page or an animation shows, and `lr_finder.py`
searches for a learning rate.
"""
