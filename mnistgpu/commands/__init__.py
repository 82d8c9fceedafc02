"""What the commands do, each a function that Python can call too, and what they print.

Read `training.py` first: `mnistgpu train`, which prints with `progress.py`. `judging.py` is
evaluate, compare and committee, `answering.py` predict and submit, `drawing.py` plot,
`searching.py` recipes and lr-find, `doctor.py` the self-check. `networks.py` finds what arguments
name, `flags.py` makes flags of settings, `app.py` turns errors into sentences.
"""
