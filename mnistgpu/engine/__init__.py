"""Training steps and answers at speed: what `network.py` says, in the machine's best form.

Read `trainer.py` first: a run between two steps. `Trainer.step` asks `gradient.Engine.gradient` for
the gradient of a batch, which is a sum over shards; `shard.Shard.add` computes one shard, in
buffers made once, with the products of `products/`. `inputs.py` turns pixels into columns,
`inference.py` answers many images, `memory.py` says what fits, `threads.py` counts cores and holds
threads. `cpu/` and `gpu/` are there for speed alone, behind one door, `stepping.py`, which compares
their first steps with plain ones (`comparison.py`). docs/engine.md leads through all of it.
"""
