"""The front door: what `import mnistgpu` offers, and what the commands call.

Read `fitting.py` first: `fit` trains a network and `resume` goes on with a stopped run, by a Job of
`job.py`. They return the Run of `run.py`, whose Model is in `model.py`: it answers, reads pictures
and is loaded and saved. `sweeping.py` trains a run for each combination of lists of settings.
`tuning.py` searches settings, `distilling.py` trains one network on the answers of a committee
(`teaching.py` has the networks that are learnt from, `unlabeled.py` images without labels), and
`suggesting.py` names images to label. `studies.py` has what one does with trained networks:
evaluate, compare, committee, lr_find, plot, submit, draw; `verifying.py` trains an exact run again,
`exporting.py` writes networks for other programs, and `making.py` makes large sets of deformed
digits. `laboratory.py` serves the page of `mnistgpu lab`, `explaining.py` opens a neuron,
`side_by_side.py` has two runs on the same images, and `given_events.py` the events that a run is to
repeat. `inputs.py` takes the data and the networks that all of them are given, `reading.py` reads
whatever is at a path, `in_memory.py` pictures that are in no file, and `own_data.py` finds the
digits that a network is judged on.

Every name is resolved when it is first used (see `mnistgpu/__init__.py`), so that `import mnistgpu`
costs nothing. docs/api.md describes each, with an example.
"""
