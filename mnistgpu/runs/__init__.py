"""A training run, from its first step to its directory on disk, and after a stop to its end.

Read `training.py` first, and `loop.py`, the steps of a run. It calls the methods of `callbacks.py`,
and `stop.py` can end it early. `events.py` has the changes of settings on the way, `events_file.py`
their file; `steering.py` lets another thread make them, `steered.py` is what the thread that trains
does for it, `points.py` keeps what it can go back to. `history.py` has the rows of figures that it
collects, `outcome.py` what it leaves. `checks.py` refuses settings that do not fit the data,
`health.py` stops a run that diverges and warns of one that learns little. `checkpoint.py` is what a
checkpoint file holds (its bytes: `storage/tensor_file.py`), `checkpointing.py` when it is written,
`resume.py` how a run continues from it, `stopped.py` its network if it does not. `run_directory.py`
writes the other files, among them the record of `origin.py`, which says what a run was trained on
and reads it again. `starting.py` lets a run begin with a trained network, `layer_statistics.py`
follows its layers, `layer_views.py` shows what they say to some images, `digests.py` keeps digests
of an exact run on its way, `twists.py` changes what a run is given on purpose. `listing.py` lists
the runs in a folder, `signals.py` turns Ctrl-C into a request to stop, `progress.py` prints a bar
or lines, `notebook.py` draws a bar in a notebook, `counting.py` one while pictures are read,
`watching.py` keeps what a page or an animation shows, `lr_finder.py` searches a learning rate, and
`halving.py` plans a search for settings.
"""
