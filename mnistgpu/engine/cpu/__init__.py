"""Speed on a CPU alone: one step shared by several processes, and calls that are bound in advance.

Read `processes.py` first: it decides how many processes share a step, and how. `data_parallel.py`
divides a batch by its images, `tensor_parallel.py` a network by its hidden units;
`process_group.py` starts the processes, lets them wait for each other and ends them.
`bound_calls.py` turns the gradient of a plain network into a list of NumPy calls, and
`exact_calls.py` does so for --precision exact.
"""
