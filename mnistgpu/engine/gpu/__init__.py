"""Speed on an NVIDIA GPU alone: a training step captured once as a CUDA graph and replayed.

Read `cuda_graph.py` first; `cublas.py` has the products that a capture allows.
"""
