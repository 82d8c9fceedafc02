"""How good a network is, in numbers and pictures.

Read `evaluation.py` first: it computes what `mnistgpu evaluate` prints, with `metrics.py`
(accuracy, confusion, calibration) and `robustness.py` (noise, shift, rotation, stroke thickness);
`html_report.py` writes it as a web page. `run_report.py` is the report.png of a run, drawn by
`plots.py`; `study_plots.py` draws the search for a learning rate and deformed digits,
`animation.py` a run as it learns, `unit_figure.py` the sum of a unit. `side_by_side.py` says where
two networks answer differently, `side_by_side_figure.py` draws it, and `comparison.py` says whether
one of them is better or it may be chance. `page.py` has the sizes and colours of all figures.
`suggestions.py` chooses images to label and draws them, and `submission.py` writes the file that
Kaggle scores.
"""
