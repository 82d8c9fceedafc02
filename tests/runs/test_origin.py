"""Data that are read again for a run that was trained on them."""

import pytest

from mnistgpu.errors import DataError
from mnistgpu.runs.origin import EMBEDDED, Origin


def test_data_that_have_changed_are_named_with_both_digests(dataset):
    before = Origin(EMBEDDED, None, "0123456789abcdef" * 4)
    with pytest.raises(DataError) as refusal:
        before.dataset("the run", read=lambda path: dataset)
    said = f"(its digest is {dataset.digest[:16]}, not 0123456789abcdef); "
    assert str(refusal.value).startswith(f"{dataset.source}: is not what the run was trained on")
    assert said in str(refusal.value)
    same = Origin(EMBEDDED, None, dataset.digest)
    assert same.dataset("the run", read=lambda path: dataset) is dataset
