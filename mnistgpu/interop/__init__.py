"""Doors to other tools, each optional and each a file or folder of its own.

Nothing here is needed to train, save or answer, and no other room than the front door and the
command line imports it. What a file needs beyond the package's own libraries is an extra of
pyproject.toml and is imported where it is used.

`sklearn.py` is the estimator for scikit-learn, with `sklearn_parameters.py`, `sklearn_arrays.py`
and `sklearn_callbacks.py` beside it.

MPI: `mpi.py` begins a job of ranks and ends it, `mpi_ranks.py` is what the engine and the front
door see of them, `mpi_watch.py` notices ranks that are dead or silent, `mpi_gpu.py` adds what GPUs
compute.

To export a network, `exported.py` (read it first) gathers what all files hold; `onnx_file.py`,
`plain_files.py` and `c_header.py` give it their form, and `hub.py` with `card.py` makes a folder
for the Hugging Face Hub. The page that answers by itself is in `web/alone.py`.
"""
