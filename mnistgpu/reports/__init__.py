"""How good a network is, in numbers and pictures.

Read `evaluation.py` first: everything that `mnistgpu evaluate` finds out, with `metrics.py` and
`robustness.py`; `html_report.py` writes it as a page. `plots.py` and `study_plots.py` draw on the
common page of `page.py`, `animation.py` shows a run as it learns, `submission.py` writes the file
that Kaggle scores.
"""
