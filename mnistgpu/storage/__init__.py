"""Files that are replaced whole, one writer at a time, and named arrays in a file.

Read `files.py` first: how a file is replaced, so that after a kill or on a full disk the old file
or the new one is there, never a part of one. `tensor_file.py` reads and writes named arrays in the
safetensors format (no pickle), `named_values.py` reads what people write in JSON or TOML.
`lock.py` prevents two processes from writing to one directory.
`system.py` and `terminal.py` have what differs between Linux, macOS and Windows: a test proves that
nothing else in the package names what one of them lacks.
"""
