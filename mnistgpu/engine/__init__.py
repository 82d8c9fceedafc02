"""Training steps and answers at speed: what `network.py` says, in the machine's best form.

Read `trainer.py` first: a run between two steps. `Trainer.step` asks `gradient.Engine.gradient` for
the gradient of a batch, which is a sum over shards; `shard.Shard.add` computes one shard, in
buffers made once. `inputs.py` turns pixels into columns, `inference.py` answers many images,
`memory.py` says what fits. `cpu/` and `gpu/` are there for speed alone, behind one door,
`stepping.py`: nothing outside this package imports them.
"""
