"""What only a terminal needs: progress, tables, and the self-check of a machine.

Read `progress.py` first: what a training run prints. `doctor.py` examines the machine.
"""
