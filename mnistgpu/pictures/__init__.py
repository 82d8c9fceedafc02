"""A person's picture of digits, read as MNIST shows them, answered and explained.

Read `images.py` first: from a file to 28x28 pixels; `ink.py`, `picture_parts.py` and
`components.py` find the writing in a photograph. `answers.py` gives the digit and how sure it is,
`explain.py` draws why.
"""
