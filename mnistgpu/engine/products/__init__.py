"""How matrices are multiplied: in which precision, and by which function.

Read `precision.py` first: it chooses. `small.py` cuts products of few rows to a size that OpenBLAS
multiplies faster, `cublas.py` calls cuBLAS for what CuPy's `matmul` does not offer.
"""
