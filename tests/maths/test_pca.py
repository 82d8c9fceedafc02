"""Principal axes by products alone, against NumPy's singular value decomposition."""

import numpy as np
import pytest

from mnistgpu.maths.pca import orthonormal, principal_axes


def columns(n=30, m=400, seed=0, scales=(9.0, 4.0, 2.0, 1.0)):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    spread = np.concatenate([scales, np.full(n - len(scales), 0.3)])
    return basis @ (spread[:, None] * rng.normal(size=(n, m))) + rng.normal(size=(n, 1)) * 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(30, 400), (5, 100), (200, 60), (2, 50)])
def test_the_axes_are_those_of_the_svd(space, dtype, shape):
    n, m = shape
    X = columns(n, m, scales=(9.0, 4.0, 2.0, 1.0)[:n]).astype(dtype)
    axes, variances, whole = principal_axes(space.put(X), 2)
    centred = (X - X.mean(axis=1, keepdims=True)).astype(np.float64)
    U, s, _ = np.linalg.svd(centred, full_matrices=False)
    axes = space.get(axes)
    assert axes.shape == (n, 2)
    np.testing.assert_allclose(variances, s[:2] ** 2 / m, rtol=1e-4)
    assert whole == pytest.approx(float((s**2).sum()) / m, rel=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(axes * U[:, :2], axis=0)), 1.0, rtol=1e-4)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-5)


def test_an_axis_points_as_before():
    X = columns()
    axes, _, _ = principal_axes(X)
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    for signs in ([1, -1], [-1, 1], [-1, -1]):
        before = axes * np.array(signs)
        again, _, _ = principal_axes(X + 0.01 * columns(seed=3), start=before)
        assert (np.sum(again * before, axis=0) > 0.9).all()
    # axes of other columns are no start
    other, _, _ = principal_axes(X, start=np.ones((7, 2)))
    np.testing.assert_allclose(other, axes, atol=1e-6)


def test_axes_that_were_known_are_found_in_fewer_products(monkeypatch):
    """It ends as soon as the variances stay: long before the iterations are used up."""
    counts, eigh = [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (counts.append(1), eigh(matrix))[1])

    def decomposed(X, start=None):
        counts.clear()
        return principal_axes(X, start=start)[0], len(counts)

    X = columns()
    axes, first = decomposed(X)
    _, again = decomposed(X, axes)
    assert again <= 2 * 3 < first < 20 * 3  # three in each iteration


@pytest.mark.parametrize("n", [1, 2, 6])
def test_columns_that_do_not_vary_have_axes_all_the_same(n):
    axes, variances, whole = principal_axes(np.full((n, 20), 3.0))
    assert axes.shape == (n, min(2, n))
    assert np.isfinite(axes).all()
    assert (variances == 0).all()
    assert whole == 0.0


def test_columns_of_one_direction():
    direction = np.arange(1.0, 9.0)[:, None]
    X = direction @ np.linspace(-1, 1, 50)[None, :]
    axes, variances, whole = principal_axes(X)
    np.testing.assert_allclose(axes[:, 0], direction[:, 0] / np.linalg.norm(direction), rtol=1e-8)
    assert variances[0] == pytest.approx(whole)
    assert variances[1] == pytest.approx(0.0, abs=1e-9)


def test_orthonormal_columns_span_the_same():
    V = np.random.default_rng(0).normal(size=(40, 6)) @ np.diag([1e4, 1, 1, 1, 1, 1e-3])
    Q = orthonormal(V)
    np.testing.assert_allclose(Q.T @ Q, np.eye(6), atol=1e-10)
    np.testing.assert_allclose(Q @ (Q.T @ V), V, atol=1e-6)
