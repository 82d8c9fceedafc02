"""A step gives a GPU no more operations than the table of docs/gpu.md says."""

import json

import pytest
from helpers.device import is_counted
from helpers.mnist import ROOT
from helpers.scripts import benchmark

from mnistgpu.backend import select
from mnistgpu.errors import BackendError

TABLE = json.loads((ROOT / "benchmarks" / "results" / "launches.json").read_text())


@pytest.mark.gpu
@pytest.mark.parametrize("name", TABLE)
def test_no_count_has_grown_by_more_than_two(name, digits):
    from mnistgpu.data import Digits

    try:
        gpu = select("cupy")
        if not is_counted():
            pytest.skip("cuBLAS itself computes a product by as many kernels as it likes")
        launches = benchmark("launches")
        found = launches.counts(launches.WORKS[name], Digits(*digits, "digits"), gpu)
    except BackendError as error:
        pytest.skip(str(error))
    print(name, found)
    assert found["launches"] <= TABLE[name]["launches"] + 2
    assert found["nodes"] <= TABLE[name]["nodes"] + 2
