"""`python -m mnistgpu`: the `mnistgpu` command."""

from mnistgpu.cli import main

main()
