"""Local pages: one to draw a digit and see the answer, one to watch a network learn.

Read `draw.py` first: it serves the drawing page, `draw.html` with the script `draw.js`; `keep.py`
saves drawings for training. `watch.py` serves `watch.html`. Both run on `server.py`; `door.py` says
who may use them, and `guard.py` refuses foreign and harmful requests. Only this folder needs the
extra `web` (starlette, uvicorn and segno). `alone.py` makes one file of the drawing page, which
answers by `alone.js` and needs neither the extra nor a server. `about.py` says what both forms of
it are told about the network.
"""
