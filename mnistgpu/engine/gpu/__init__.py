"""Speed on an NVIDIA GPU alone: training steps captured once as a CUDA graph and replayed.

Read `cuda_graph.py` first: which steps are replayed. `recorder.py` captures them; the products that
can be captured are those of `products/cublas.py`.
"""
