"""A person's picture of digits: converted to images of MNIST's kind, answered and explained.

Read `images.py` first: from a file to 28x28 pixels. `picture_parts.py` refuses files that cost more
to decode than they show, `ink.py` separates ink from paper, `components.py` finds the connected
parts of the ink and decides which of them form one digit; `images.py` then crops, scales and
centres each. `answers.py` returns the digit and its probability, `explain.py` draws which pixels
decided. `folder.py` reads a folder of pictures as digits to train on or to answer, with
`folder_contents.py`, which knows its parts and classes.
"""
