"""The parts of benchmarks/cpu.py: tasks, peers, bounds, clock and report.

Read `modes.py` first: the tasks and their goals. `gpu_*.py` are the parts of benchmarks/gpu.py.
"""
