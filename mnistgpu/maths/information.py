"""Answers that tell images apart: their mutual information with the images, made larger.

Bridle, Heading and MacKay 1992; Krause, Perona and Gomes 2010; Hu, Miyato, Tokui, Matsumoto and
Sugiyama 2017 (arXiv:1702.08720). It asks for no labels. Of the answers p = softmax(Z_L) to the m
images of a group

    I = H(mean p) - mean H(p)              H(p) = - sum p log p
    loss = -I                              added to the cross-entropy

It is large where each answer is sure, and all classes are given about equally often: the second
keeps a class without many labels from being taken over by its neighbour. For the group

    dI/dZ_L = p (r - p^T r) / m            r = log(p / mean p)

Every function is pure, on columns: one image each.
"""

from __future__ import annotations

from mnistgpu.backend import Array, array_namespace
from mnistgpu.maths.regularize import group_views

SMALLEST = 1e-30  # of a share whose logarithm is taken


def information_slopes(Z: Array, group: int, weights: Array | None = None) -> Array:
    """m dI/dZ of the logits Z (classes, m), for `group` images at a time, as they are normalised.

    weights (m,): how often each image counts.
    """
    xp = array_namespace(Z)
    logs = Z - xp.max(Z, axis=0, keepdims=True)
    logs -= xp.log(xp.sum(xp.exp(logs), axis=0, keepdims=True))
    P = xp.exp(logs)
    slopes = P + 0.0 if weights is None else P * weights
    groups = [group_views(each, group) for each in (slopes, P, logs)]
    for own, p, log_p in zip(*groups, strict=True):
        shares = xp.sum(own, axis=-1, keepdims=True)
        shares /= xp.sum(shares, axis=0, keepdims=True)
        r = log_p - xp.log(xp.maximum(shares, xp.full_like(shares, SMALLEST)))
        r -= xp.sum(p * r, axis=0, keepdims=True)
        own *= r
    return slopes
