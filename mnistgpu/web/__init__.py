"""Local pages: one to draw a digit and see the answer; the lab, to change a network as it learns.

Read `draw.py` first: it serves the drawing page, `draw.html` with the script `draw.js`; `keep.py`
saves drawings for training. `lab.py` serves the lab: its page is in `page/` (of the scripts read
`main.js` first) and its words, a file a language, in `words/` (`words.py` reads them). `lab_run.py`
has its runs, and `actions.py` what browsers do to them; `lab_view.py` looks at them while they
learn, `link.py` puts a run into an address and `controls.py` says which settings the page shows.
`at_hand.py` opens the network for an image and edits it; `trials.py` runs the experiments of
`experiments/` and the two networks of `pair.py`. `watch.py` serves the same page without its
controls, for `train --watch`; `pages.py` and `encoded.py` are what both share, and `refusals.py`
checks what the page sends.

All run on `server.py`; `door.py` says who may use them, and `guard.py` refuses foreign and harmful
requests. Only this folder needs the extra `web` (starlette, uvicorn and segno). `alone.py` makes
one file of the drawing page, which answers by `alone.js` and needs neither the extra nor a server.
`about.py` says what both forms of it are told about the network.
"""
