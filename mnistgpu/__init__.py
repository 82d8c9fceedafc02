"""A dense neural network for handwritten digits, written from scratch once, on NumPy and CuPy.

Read `network.py` first: the equations, from the first weights through the loss to the update. Then
`backend.py` (NumPy or CuPy) and `settings.py` (every setting, with what --help says about it).
Imports go down this list only:

    train.py, cli.py   `python -m mnistgpu.train` and `mnistgpu`: the flags that are no settings
    web/, commands/    the local pages; what each command does and prints
    pictures/          from a photograph to 28x28 pixels, and the answer, explained
    reports/           evaluation, figures, the HTML report, Kaggle's submission
    runs/              the training loop, checkpoints, Ctrl-C, the run directory
    models/            a trained network, a committee, the network of the package
    engine/            training steps and answers at speed: shards, processes, CUDA graphs
    recipes.py         named settings that are known to work
    settings.py        every setting: Python argument, flag, help text and what is saved
    maths/, data/      optimisers, activations, deformations; IDX, CSV and npz files, checked
    network.py         the equations
    counter_rng.py     random numbers with the same bits on every backend
    backend.py         where arrays live: NumPy or CuPy
    storage/           files that are replaced whole, locks, the safetensors format
    errors.py          what can go wrong, and the exit status of each error

Each folder's `__init__.py` says which of its files does what.
"""

__version__ = "0.1.0"
