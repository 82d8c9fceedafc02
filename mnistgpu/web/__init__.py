"""Local pages: one to draw a digit and see the answer, one to watch a network learn.

Read `draw.py` first: it serves the drawing page, `draw.html` with the script `draw.js`; `keep.py`
saves drawings for training. `watch.py` serves `watch.html`. Both run on `server.py` and refuse
foreign or harmful requests with `guard.py`. Only this folder needs the extra `web` (starlette and
uvicorn).
"""
