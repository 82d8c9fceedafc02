"""The functions of the virtual adversarial loss, on every backend."""

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.maths import adversarial

RANDOM = np.random.default_rng(4)
Z = RANDOM.normal(size=(5, 7)) * 3
P = network.softmax(RANDOM.normal(size=(5, 7)) * 3)
T = RANDOM.normal(size=(5, 7))


def test_the_fisher_product_is_that_of_the_whole_matrix(space):
    found = space.get(adversarial.fisher_product(space.put(P), space.put(T)))
    for p, t, column in zip(P.T, T.T, found.T, strict=True):
        np.testing.assert_allclose(column, (np.diag(p) - np.outer(p, p)) @ t, atol=1e-14)


def test_a_certain_answer_has_a_product_that_is_not_rounding():
    """In float32 p is 1 where the others have 1e-9, and t - p^T t of that class is all rounding."""
    p = np.array([[1.0], [1e-9], [2e-9]])
    t = np.array([[3.1], [-1.7], [0.3]])
    expected = p * (t - (p / p.sum() * t).sum(axis=0))
    single = [each.astype(np.float32) for each in (p, t)]
    found = adversarial.fisher_product(*single)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-5)
    assert found[0, 0] == pytest.approx(expected[0, 0], rel=1e-5)


@pytest.mark.parametrize("factor", [1.0, 1e-30, 1e25])
def test_columns_of_length_one_however_small_they_were(space, factor):
    G = (T * factor).astype(np.float32)
    G[:, 2] = 0.0
    found = space.get(adversarial.unit_columns(space.put(G)))
    lengths = np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(np.delete(lengths, 2), 1.0, rtol=1e-6)
    assert lengths[2] == 0.0
    np.testing.assert_allclose(found[:, 0], T[:, 0] / np.linalg.norm(T[:, 0]), rtol=1e-5)


def test_divergence_is_the_definition_and_holds_where_a_probability_is_zero(space):
    found = space.get(adversarial.divergence(space.put(P), space.put(Z)))
    Q = network.softmax(Z)
    np.testing.assert_allclose(found, (P * np.log(P / Q)).sum(axis=0), rtol=1e-12)
    same = space.get(adversarial.divergence(space.put(network.softmax(Z)), space.put(Z)))
    np.testing.assert_allclose(same, 0.0, atol=1e-14)
    certain, far = np.array([[1.0], [0.0]]), np.array([[-800.0], [800.0]])
    assert space.get(adversarial.divergence(space.put(certain), space.put(far)))[0] == 1600.0
