"""Virtual adversarial training: answers that no small change to an image may move.

Miyato, Maeda, Koyama, Nakae and Ishii 2015 (arXiv:1507.00677), and 2017 (arXiv:1704.03976). It asks
for no labels. Of an image x with the answers p = softmax(Z_L(x)), which are held fixed, and
J = dZ_L/dx, the answers move most, to the second order, along the dominant eigenvector of

    F = J^T (diag(p) - p p^T) J            the Fisher matrix of the answers with respect to pixels

    v := F v / |F v|                       power iteration, from a random v
    r  = size * v                          the virtual adversarial change
    q  = softmax(Z_L(x + r))
    loss = KL(p || q) = sum p log(p / q)   added to the cross-entropy, as a mean over the images
    dZ_L = (q - p) / m                     p and r are constants

The papers take F v as a difference of two gradients of KL. Here J v is a product of its own,
forward through the derivatives of the layers, and J^T goes back through them: there is no step
width, and nothing is lost to rounding.

Every function is pure, on columns: one image each.
"""

from __future__ import annotations

from mnistgpu.backend import Array, array_namespace


def fisher_product(P: Array, T: Array) -> Array:
    """(diag(p) - p p^T) t = p (t - p^T t), column by column: P and T (classes, m).

    The mean under p is subtracted twice. Where an answer is all but certain the first leaves the
    rounding of t, which is much larger than the result.
    """
    xp = array_namespace(P, T)
    for _ in range(2):
        T = T - xp.sum(P * T, axis=0, keepdims=True)
    return P * T


def unit_columns(G: Array) -> Array:
    """G (n, m) with columns of length 1; columns of zeros stay zeros.

    Divided by their largest number first, since squares of small numbers would underflow.
    """
    xp = array_namespace(G)
    largest = xp.max(xp.abs(G), axis=0, keepdims=True)
    G = G / xp.where(largest > 0, largest, xp.ones_like(largest))
    squares = xp.sum(G * G, axis=0, keepdims=True)  # at least 1, but for zeros
    return G / xp.sqrt(xp.maximum(squares, xp.ones_like(squares)))


def divergence(P: Array, Z: Array) -> Array:
    """KL(p || softmax(z)) of each column (m,): probabilities P and logits Z (classes, m).

    From logits, since the logarithm of a probability may be that of 0; p log p is 0 there.
    """
    xp = array_namespace(P, Z)
    shifted = Z - xp.max(Z, axis=0, keepdims=True)
    log_q = shifted - xp.log(xp.sum(xp.exp(shifted), axis=0, keepdims=True))
    log_p = xp.log(xp.where(P > 0, P, xp.ones_like(P)))
    return xp.sum(P * (log_p - log_q), axis=0)
