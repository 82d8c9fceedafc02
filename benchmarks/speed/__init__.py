"""The parts of benchmarks/cpu.py: the work, who does it, the bounds, and the report."""
