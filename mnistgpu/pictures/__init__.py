"""A person's picture of digits: converted to images of MNIST's kind, answered and explained.

Read `images.py` first: the steps from a picture to its digits. `decode.py` turns a file into
pixels, and `picture_parts.py` refuses files that cost more to decode than they show. `sheet.py`
finds the paper on the table, `ink.py` separates ink from paper, `ruling.py` takes away lines and
boxes, `components.py` finds the connected parts of the ink and the lines they stand on,
`numbers.py` cuts digits that touch, `separators.py` finds what stands between them, and
`preparing.py` crops, scales and centres each. `answers.py` says what the network makes of them,
`explain.py` draws why, `fooling.py` changes pixels until the answer is another. `folder.py` reads a
folder of pictures as digits to train on or to answer, with `folder_contents.py`, which knows its
parts and classes.
"""
