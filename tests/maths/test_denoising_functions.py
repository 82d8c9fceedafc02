"""The functions of the decoder, on every backend."""

import numpy as np
import pytest

from mnistgpu import counter_rng
from mnistgpu.maths import denoising

RANDOM = np.random.default_rng(4)
SIZES = (7, 5, 4, 3)
Z, U, W = (RANDOM.normal(size=(5, 6)) for _ in range(3))
A = RANDOM.normal(size=(10, 5, 1))


def test_the_views_cover_the_vector_once(space):
    count = denoising.decoder_count(SIZES)
    assert count == 7 * 5 + 5 * 4 + 4 * 3 + 10 * (7 + 5 + 4)
    assert denoising.decoder_count(SIZES, 0.0) == 0
    vector = space.put(np.zeros(count)) + 0.0  # of which one may write
    found = denoising.rungs(vector, SIZES)
    assert [(each.V.shape, each.a.shape) for each in found] == [
        ((7, 5), (10, 7, 1)), ((5, 4), (10, 5, 1)), ((4, 3), (10, 4, 1)),
    ]  # fmt: skip
    for rung in found:
        rung.V[...] = rung.V + 1.0
        rung.a[...] = rung.a + 1.0
    assert np.all(space.get(vector) == 1.0)


def test_the_first_decoder_says_nothing_yet_and_has_slopes():
    key = counter_rng.key(3, like=np.zeros(1))
    vector = denoising.first_decoder(key, (400, 300, 10), "float64")
    first, second = denoising.rungs(vector, (400, 300, 10))
    assert first.V.std() == pytest.approx(300**-0.5, rel=0.02)
    assert second.V.std() == pytest.approx(10**-0.5, rel=0.05)
    D, _ = denoising.combine(Z, U, first.a[:, :5])
    assert np.all(D == 0.0)
    assert first.a[1, 0, 0] == first.a[6, 0, 0] == 1.0


def test_the_estimate_of_a_normal_number_from_a_noisy_one(space):
    """With prior mean mu and share nu = prior variance / (prior variance + noise variance)."""
    a = np.zeros((10, 5, 1))
    a[3], a[9] = 2.0, 0.75  # mu = 2 u, nu = 0.75
    found, _ = denoising.combine(space.put(Z), space.put(U), space.put(a))
    np.testing.assert_allclose(space.get(found), 2 * U + 0.75 * (Z - 2 * U), rtol=1e-12)


@pytest.mark.parametrize("which", ["Z", "U", *range(10)])
def test_backward_against_central_differences(space, which):
    given = {"Z": Z, "U": U, "a": A}
    put = {name: space.put(value) for name, value in given.items()}
    _, kept = denoising.combine(put["Z"], put["U"], put["a"])
    dZ, dU, da = denoising.combine_backward(space.put(W), *put.values(), kept)
    h, sums = 1e-6, []
    for sign in (1, -1):
        moved = {name: value.copy() for name, value in given.items()}
        if isinstance(which, str):
            moved[which] += sign * h
        else:
            moved["a"][which] += sign * h
        sums.append(W * denoising.combine(**moved)[0])
    numeric = (sums[0] - sums[1]) / (2 * h)  # each place has its own z and u
    found = {"Z": dZ, "U": dU}[which] if isinstance(which, str) else da[which]
    if not isinstance(which, str):
        numeric = numeric.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(space.get(found), numeric, rtol=1e-6, atol=1e-9)
