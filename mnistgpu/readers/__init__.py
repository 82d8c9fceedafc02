"""Files of digits to arrays: IDX, CSV and npz, read as if whoever made them meant harm.

A reader returns images (N, rows, columns) uint8 and labels (N,) uint8, or None without labels.
Whatever a file holds, the outcome is whole data or a DataError that names the file, the place and
the mend. A size that a file claims is believed only as far as the file's own size bears it out, so
memory and time grow with what a file holds and not with what it says.
"""
