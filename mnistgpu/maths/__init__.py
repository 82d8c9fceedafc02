"""What better networks add to the equations of `network.py`: pure functions on arrays.

Read `optimizers.py` first: update rules and schedules of the learning rate, each a function and a
row of a table. `activations.py` has activations with their derivatives, `regularize.py` noise,
dropout, batch normalisation and limits on weights, `adversarial.py` the loss of virtual adversarial
training, `denoising.py` a decoder that takes noise away, `information.py` a loss for sure answers
in all classes, `augment.py` deformed digits, `pca.py` principal axes. `exact.py`, `exact_grids.py`
and `exact_norm.py` are the arithmetic of --precision exact. `mistakes.py` has wrong gradients, for
experiments. Nothing here imports settings, files or engines. CONTRIBUTING.md shows how to add an
optimiser.
"""
