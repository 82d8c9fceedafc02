"""Speed on an NVIDIA GPU alone: kernels, and steps captured as a CUDA graph and replayed.

Read `cuda_graph.py` first: which steps are replayed. `recorder.py` captures them; the products that
can be captured are those of `products/cublas.py`. `kernels.py` has one launch for what plain
functions do in many.
"""
