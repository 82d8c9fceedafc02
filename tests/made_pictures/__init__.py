"""Pictures of digits as people take them, made from a seed: the set that measures `predict`.

`glyphs.py` draws characters with a pen, a font or an enlarged image of a data set, `camera.py` lays
a sheet on a table and photographs it, `scenes.py` lists the scenes. `tuning.py` and `judging.py`
are the two halves: they share the scenes, but no font, stroke model, paper, ink, table or light.
The tuning half may be looked at while the package is changed. The judging half measures it, and is
not changed. `measure.py` counts the answers that are right, which `benchmarks/pictures.py` prints.
"""
