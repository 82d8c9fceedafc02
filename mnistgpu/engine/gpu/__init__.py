"""Speed on an NVIDIA GPU alone: a training step captured once as a CUDA graph and replayed.

`cuda_graph.py` has all of it; the products that can be captured are those of `products/cublas.py`.
"""
