"""Files that are whole or not there: atomic replacement, one writer at a time, named tensors.

Read `files.py` first: how a file is replaced, so that a kill or a full disk leaves the old one or
the new one. `tensor_file.py` reads and writes the safetensors format (no pickle), and `lock.py`
keeps two processes from writing one run.
"""
