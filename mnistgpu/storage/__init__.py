"""Files that are whole or not there: atomic replacement, one writer at a time, named tensors.

Read `files.py` first: how a file is replaced, so that the old file or the new one is there, never a
part, after a kill or on a full disk. `tensor_file.py` reads and writes the safetensors format (no
pickle). `lock.py` prevents two processes from writing to one directory.
"""
