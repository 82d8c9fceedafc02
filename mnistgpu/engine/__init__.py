"""Training steps and answers at speed: the equations of `network.py` in the machine's best form.

Read `trainer.py` first: a run between two steps. `Trainer.step` asks `gradient.Engine.gradient` for
the gradient of a batch, which is a sum over shards; `shard.Shard.add` computes one shard, in
buffers made once, with the products of `products/`. `inputs.py` turns pixels into columns,
`batches.py` says which images a step takes, `consistency.py` adds the loss of answers that stay
when an image is deformed, `adversarial.py` that of virtual adversarial training, `denoising.py`
that of a decoder, `teacher.py` the answers of other networks in place of labels.
`clean_statistics.py` is what batch normalisation answers with, `inference.py` answers many,
`memory.py` says which batch size fits into memory, `threads.py` starts threads, `arithmetic.py`
chooses between these and the `exact_*.py` of --precision exact. `distributed.py` shares a step with
ranks on other machines, and `divided_update.py` its update. `cpu/` (several processes) and `gpu/`
(kernels, a CUDA graph) are there for speed alone. `stepping.py` is the only way to them, and
compares their first steps with plain ones (`comparison.py`). docs/engine.md explains the whole,
from a step to a product.
"""
