"""What only a terminal needs: exit statuses, what is printed, the self-check.

Every command is a call of the front door (`api/`) that prints what it returns. `training.py` is
`mnistgpu train` and verify, and `settings_file.py` its --settings; `sweeping.py` is sweep,
`listing.py` runs, `judging.py` evaluate, compare and committee, `answering.py` predict and submit,
`learning.py` distill, suggest and (with `tuning.py`) tune, `pages.py` draw and lab, `describing.py`
recipes, `exporting.py` export, `making.py` make-data, `doctor.py` the self-check. `output.py` makes
JSON and tables.
`flags.py` makes a flag of each setting, whose help text is in `settings.py`; the other flags are in
`cli.py` and `train.py`. `quick.py` converts flags faster than typer. `app.py` prints an error as
one sentence and ends with its exit status, which is in `errors.py`.
"""
