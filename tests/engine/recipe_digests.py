"""SHA-256 of the parameters after the first steps of each recipe, as a JSON object.

    python tests/engine/recipe_digests.py [NAME ...] [--two-workers]

One thread, OpenBLAS's Haswell kernels and NumPy's AVX2 loops, so that every x86-64 machine with
AVX2 has the same digests with the same NumPy and OpenBLAS. Prints a JSON object. `made_with` says
which NumPy and OpenBLAS; with `--two-workers` it prints how far, relative to the way gone, two
workers end from one.
"""

import hashlib
import json
import os
import sys

KERNELS = {
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
STEPS = 20


def parameters(settings, digits, workers):
    """theta at the beginning and after STEPS steps."""
    from mnistgpu import backend
    from mnistgpu.engine.trainer import Trainer

    trainer = Trainer(settings, digits, backend.NUMPY, workers=workers)
    start = trainer.theta.copy()
    with trainer.engine.running():
        for _ in range(STEPS):
            trainer.step()
    return start, trainer.theta


def main(names, two_workers):
    import numpy as np
    import threadpoolctl

    from mnistgpu import data
    from mnistgpu.recipes import RECIPES

    dataset, found = data.load(), {}
    blas = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
    found["made_with"] = f"numpy {np.__version__}, OpenBLAS {blas[0]['version']}"
    found["kernels"] = blas[0]["architecture"]
    for name in names or RECIPES:
        settings = RECIPES[name].settings
        digits, _ = data.split(dataset.train, settings.validation, settings.seed)
        start, one = parameters(settings, digits, 1)
        if two_workers:
            _, two = parameters(settings, digits, 2)
            found[name] = float(np.linalg.norm(two - one) / np.linalg.norm(one - start))
        else:
            found[name] = hashlib.sha256(one.tobytes()).hexdigest()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in KERNELS.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KERNELS)
    main([name for name in sys.argv[1:] if name[0] != "-"], "--two-workers" in sys.argv)
