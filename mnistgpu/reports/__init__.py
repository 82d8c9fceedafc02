"""How good a network is, in numbers and pictures.

Read `evaluation.py` first: it computes what `mnistgpu evaluate` prints, with `metrics.py`
(accuracy, confusion, calibration) and `robustness.py` (noise, shift, rotation, stroke thickness);
`html_report.py` writes it as a web page. `page.py` has the measures and colours of all figures;
`plots.py` draws a run on it, `study_plots.py` the search for a learning rate and deformed digits,
`animation.py` a run as it learns. `submission.py` writes the file that Kaggle scores.
"""
