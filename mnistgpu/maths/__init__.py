"""What better networks add to the equations of `network.py`: pure functions on arrays.

Read `optimizers.py` first: update rules and learning-rate schedules, each a function and a row of
a table. `activations.py` has the activations with their derivatives, `regularize.py` noise,
dropout, batch normalisation and limits on weights, `augment.py` deformed digits. Nothing here
knows settings, files or engines.
"""
