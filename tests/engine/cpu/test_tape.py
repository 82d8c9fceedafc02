"""What is recorded is repeated on the same memory, and what cannot be recorded is refused."""

import numpy as np
import pytest

from mnistgpu.engine.cpu.tape import RecordedArray, Recorder, bare


@pytest.fixture
def recorder():
    return Recorder()


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


BODIES = {
    "operators": lambda A, B, C: C.__iadd__(A * 2 - B / (1.0 + B * B)),
    "products": lambda A, B, C: np.matmul(A, B.T @ B, out=C),
    "reductions": lambda A, B, C: np.subtract(A, np.max(B, axis=0, keepdims=True), out=C),
    "sums": lambda A, B, C: np.add(A.sum(axis=1, keepdims=True), np.sum(B), out=C),
    "comparisons": lambda A, B, C: np.multiply(A, B > 0, out=C),
    "slices": lambda A, B, C: C.__setitem__((slice(None), slice(1, 3)), A[:, ::2] + B[:, :2]),
    "numbers": lambda A, B, C: C.__setitem__(slice(None), 0.5),
    "shapes": lambda A, B, C: np.add(A.reshape(2, -1), B.T.T.reshape(2, -1), out=C.reshape(2, -1)),
    "rooms": lambda A, B, C: np.add(np.empty_like(A).__iadd__(A) * 0 + A, B, out=C),
    "read of plain": lambda A, B, C: np.add(bare(A), B, out=C),
    "write to plain": lambda A, B, C: np.add(A, B, out=bare(C)),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_repeat_does_the_same_with_other_numbers(recorder, body):
    A, B, C = (np.zeros((4, 4), np.float32) for _ in range(3))
    recorded = [recorder.array(each) for each in (A, B, C)]
    A[...], B[...] = numbers(2, 4, 4)
    repeat = recorder.record(lambda: body(*recorded))
    for factor in (1, 3, -2):
        A[...], B[...] = factor * numbers(2, 4, 4)
        C[...] = 7.0
        expected = C.copy()
        body(A, B, expected)
        repeat()
        np.testing.assert_array_equal(C, expected)
        assert not np.all(expected == 7.0)


def test_recordings_share_the_memory_of_their_results(recorder):
    A = np.ones((100, 100), np.float32)
    bodies = [lambda k=k: A.__iadd__(bare(recorder.array(A) * k + (k + 1.0))) for k in range(5)]
    added = []
    for body in bodies:
        before = A.copy()
        recorder.record(lambda body=body: recorder.array(A).__setitem__(slice(None), 1.0) or body())
        added.append(A[0, 0])
        assert np.all(before[0, 0] == before)
    assert added == [1 + k + k + 1 for k in range(5)]
    assert sum(len(rooms) for rooms in recorder._rooms.values()) == 2


def test_the_first_time_counts_too(recorder):
    A = np.ones(3, np.float32)
    repeat = recorder.record(lambda: recorder.array(A).__iadd__(1.0))
    assert A.tolist() == [2, 2, 2]
    repeat()
    repeat()
    assert A.tolist() == [4, 4, 4]


def test_a_call_is_repeated_in_its_place(recorder):
    A, seen = np.zeros(1, np.float32), []

    def body():
        recorded = recorder.array(A)
        recorded += 1.0
        assert recorder.call(lambda what: seen.append((what, A[0])), "between") is None
        recorded += 1.0

    repeat = recorder.record(body)
    repeat()
    assert seen == [("between", 1), ("between", 3)]


def test_views_and_results_are_recorded_as_well(recorder):
    A = recorder.array(numbers(4, 4))
    for each in (A[1:], A.T, A.reshape(-1), A + 1, np.exp(A), A > 0, np.max(A, axis=0), A.sum()):
        assert type(each) is RecordedArray
        assert each.recorder is recorder
    assert type(bare(A)) is np.ndarray
    assert np.shares_memory(bare(A), A)


@pytest.mark.parametrize(
    "body",
    [
        lambda A: np.where(A > 0, A, 0),
        lambda A: np.argmax(A, axis=0),
        lambda A: np.take(A, [0, 1]),
        lambda A: A.argmax(axis=0),
        lambda A: A.astype(np.float64),
        lambda A: A.fill(1.0),
        lambda A: A[0, 0],
        lambda A: A.T.reshape(-1),
        lambda A: np.reshape(A[:, 1:], (-1,)),
        lambda A: A.flat,
        lambda A: np.modf(A),
        lambda A: np.add.at(A, [0], 1.0),
        lambda A: np.add.accumulate(A),
        lambda A: np.exp(A, where=A > 0),
        lambda A: np.zeros_like(A),
        lambda A: 1 if A.sum() > 0 else 2,
        lambda A: float(A.sum()),
        lambda A: A.__setitem__([0, 1], 1.0),
        lambda A: A.__setitem__(A > 0, 1.0),
    ],
)
def test_what_a_repeat_could_not_know_is_refused(recorder, body):
    A = recorder.array(numbers(4, 4))
    with pytest.raises(RuntimeError, match="cannot be recorded"):
        recorder.record(lambda: body(A))
    assert recorder.calls is None


def test_outside_a_recording_arrays_are_as_ever(recorder):
    A = recorder.array(numbers(4, 4))
    assert np.array_equal(np.where(A > 0, A, 0), np.maximum(bare(A), 0))
    assert A[0, 0] == bare(A)[0, 0]
    assert float(A.max()) == bare(A).max()
    assert bool(A.max() > A.max()) is False
    assert A.argmax() == bare(A).argmax()
    assert next(iter(A.flat)) == A[0, 0]
    assert np.array_equal(np.modf(A)[1], np.trunc(bare(A)))
    assert np.array_equal(np.add.accumulate(A), np.cumsum(bare(A), axis=0))
    np.add.at(A, [0], 1.0)
    A[0] = 2.0
    assert bare(A)[0].tolist() == [2.0] * 4
    assert recorder.calls is None
