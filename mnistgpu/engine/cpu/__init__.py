"""Speed on a CPU alone: one step shared by several processes, and products of few rows.

Read `processes.py` first: when a step is shared, and how.
"""
