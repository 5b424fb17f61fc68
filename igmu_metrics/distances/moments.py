"""Mean and covariance of feature vectors, and the Fréchet distance from them.

Conventions: float64; (n, d) arrays, one feature vector per row. Memory is one d×d matrix for any number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.contract import FloatArray

_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Moments:
    """The data from which a Gaussian is fitted.

    Args:
        n: number of rows.
        mean: (d,) mean of the rows.
        scatter: (d, d) sum of (x − mean)·(x − mean)ᵀ.
    """

    n: int
    mean: FloatArray
    scatter: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Moments:
        """Of (n, d) rows, n ≥ 1, a block of them at a time.

        >>> found = Moments.of(np.array([[0.0], [2.0], [4.0]]))
        >>> found.n, found.mean.tolist(), found.scatter.tolist()
        (3, [2.0], [[8.0]])
        """
        if len(rows) == 0:
            raise InputError("the set has no rows, so it has no mean. Pass at least one row.")
        mean = rows.mean(axis=0)
        scatter: FloatArray | None = None
        for start in range(0, len(rows), _BLOCK):
            centred = rows[start : start + _BLOCK] - mean
            product = centred.T @ centred
            scatter = product if scatter is None else np.add(scatter, product, out=scatter)
        assert scatter is not None
        return cls(len(rows), mean, scatter)

    @property
    def covariance(self) -> FloatArray:
        """(d, d), divided by n − 1; n ≥ 2."""
        return np.asarray(self.scatter / (self.n - 1))


def frechet_of_moments(x: Moments, y: Moments) -> float:
    """Fréchet distance between the Gaussians of two sets; exact, and best where n ≥ d.

    The trace of (Σ₁Σ₂)^½ is the sum of the square roots of the eigenvalues of LᵀΣ₁L, where Σ₂ = L·Lᵀ.
    """
    first, second = x.covariance, y.covariance
    try:
        lower = np.linalg.cholesky(second)
    except np.linalg.LinAlgError:  # features that are constant or repeat one another: no Cholesky factor
        cross = float(np.linalg.svd(_root(first) @ _root(second).T, compute_uv=False).sum())
    else:
        from scipy.linalg.blas import dtrmm  # half of an ordinary product's work: L is a triangle

        upper = lower.T
        half = dtrmm(1.0, upper, first.T)  # symmetric, and so laid out as BLAS reads it
        values = np.linalg.eigvalsh(dtrmm(1.0, upper, half, side=1, trans_a=1, overwrite_b=1))
        cross = float(np.sqrt(np.maximum(values, 0.0)).sum())
    return assembled(x.mean, y.mean, float(np.trace(first) + np.trace(second)), cross)


def assembled(mean_x: FloatArray, mean_y: FloatArray, traces: float, cross: float) -> float:
    """The distance from its parts; rounding can bring equal sets a little below zero."""
    return max(0.0, float(np.sum((mean_x - mean_y) ** 2)) + traces - 2.0 * cross)


def _root(covariance: FloatArray) -> FloatArray:
    """R with Rᵀ·R equal to a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
