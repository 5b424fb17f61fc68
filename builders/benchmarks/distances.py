"""Distances of given features: igmu against clean-fid, torch-fidelity, torchmetrics and eval-unlearn."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from builders.benchmarks.timing import ratios, rounds, spread, table
from igmu_metrics.distances import gaussian
from igmu_metrics.distances.moments import Moments, frechet_of_moments


def measure(sizes: list[int], width: int, n_rounds: int, eval_unlearn: Path | None) -> str:
    """A section of the page: FID at several n, KID and CMMD with their intervals."""
    text = f"The features have {width} columns. The error is relative to a float64 SVD of the centered features.\n"
    for n in sizes:
        rng = np.random.default_rng(n)
        spectrum = np.geomspace(1, 0.01, width)
        x, y = (rng.normal(shift, 1, (n, width)) * spectrum for shift in (0.0, 0.1))
        exact = _exact(x, y)
        contenders: dict[str, Any] = {
            "igmu": lambda x=x, y=y: gaussian.frechet_distance(x, y),
            "clean-fid (scipy sqrtm)": lambda x=x, y=y: _clean_fid(x, y),
            "torch-fidelity": lambda x=x, y=y: _torch_fidelity(x, y),
            "torchmetrics": lambda x=x, y=y: _torchmetrics(x, y),
        }
        if eval_unlearn is not None:
            contenders["eval-unlearn"] = lambda x=x, y=y: _eval_unlearn(eval_unlearn, x, y)[0]
        times, values = rounds(contenders, n_rounds)
        if eval_unlearn is not None:  # its process also loads Python; it says itself how long the distance took
            times["eval-unlearn"] = [_eval_unlearn(eval_unlearn, x, y)[1] for _ in range(n_rounds)]
        rows = [
            [name, spread(t, 4), spread(ratios(t, times["igmu"]), 1), f"{abs(values[name] / exact - 1):.1e}"]
            for name, t in times.items()
        ]
        text += f"\nFID, n = {n}\n\n" + table(
            ["implementation", "seconds", "time relative to igmu", "relative error"], rows
        )
        if n > width:
            text += "\n" + _of_moments(x, y, n_rounds)
    if eval_unlearn is None:
        text += (
            "\neval-unlearn was not measured, because its evaluations download models and data from the Hub. With "
            "`--eval-unlearn PYTHON` (the path of a Python in which eval-unlearn is installed), its distance function "
            "is measured without these downloads.\n"
        )
    return text + _intervals(min(sizes[-1], 1000), width, n_rounds)


def _of_moments(x: Any, y: Any, n_rounds: int) -> str:
    """The distance alone, where means and covariances are known: what is left to do once features have streamed by."""
    from scipy.linalg import sqrtm

    one, other = Moments.of(x), Moments.of(y)
    first, second = one.covariance, other.covariance
    times, _ = rounds(
        {
            "igmu, from moments": lambda: frechet_of_moments(one, other),
            "scipy sqrtm of the product, as in clean-fid": lambda: sqrtm(first @ second),
        },
        n_rounds,
    )
    fast = times["igmu, from moments"]
    return table(
        ["implementation", "seconds", "time relative to igmu"],
        [[name, spread(t, 4), spread(ratios(t, fast), 1)] for name, t in times.items()],
    )


def _intervals(n: int, width: int, n_rounds: int) -> str:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(n, width)), rng.normal(0.1, 1, (n, width))
    ids = np.repeat(np.arange(n // 5), 5)
    x, y = x[: len(ids)], y[: len(ids)]
    both: dict[str, Any] = {"x_ids": ids, "y_ids": ids}
    times, _ = rounds(
        {
            "igmu: KID with interval": lambda: gaussian.kid_estimate(x, y, **both),
            "torch-fidelity: KID, 100 subsets": lambda: _subsets(x, y),
            "igmu: CMMD with interval": lambda: gaussian.cmmd_estimate(x, y, **both),
            "igmu: FID with interval": lambda: gaussian.frechet_estimate(x, y, **both),
        },
        n_rounds,
    )
    fast = times["igmu: KID with interval"]
    rows = [[name, spread(t, 3), spread(ratios(t, fast), 1)] for name, t in times.items()]
    return f"\nDistances with intervals, n = {len(x)}\n\n" + table(
        ["implementation", "seconds", "time relative to igmu's KID"], rows
    )


def _exact(x: Any, y: Any) -> float:
    a, b = ((z - z.mean(axis=0)) / np.sqrt(len(z) - 1) for z in (x, y))
    if len(a) <= a.shape[1]:
        cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    else:  # the singular values of A·Bᵀ are those of R₁·R₂ᵀ of the QR forms
        first, second = (np.asarray(np.linalg.qr(z, mode="r")) for z in (a, b))
        cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2) + np.sum(a * a) + np.sum(b * b) - 2 * cross)


def _clean_fid(x: Any, y: Any) -> float:
    from cleanfid.fid import frechet_distance

    moments = [m for z in (x, y) for m in (z.mean(axis=0), np.cov(z, rowvar=False))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(frechet_distance(*moments))
        except (TypeError, ValueError, AttributeError):  # it unpacks what newer scipy no longer returns
            from builders.benchmarks.reference import sqrtm_distance

            return sqrtm_distance(x, y)


def _torch_fidelity(x: Any, y: Any) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    one, other = (fid_features_to_statistics(torch.from_numpy(z)) for z in (x, y))
    found = fid_statistics_to_metric(one, other, False)
    return float(found["frechet_inception_distance"])


def _torchmetrics(x: Any, y: Any) -> float:
    from torchmetrics.image.fid import _compute_fid

    one, other = (torch.from_numpy(z) for z in (x, y))
    return float(_compute_fid(one.mean(0), torch.cov(one.T), other.mean(0), torch.cov(other.T)))


def _subsets(x: Any, y: Any) -> Any:
    from torch_fidelity.metric_kid import kid_features_to_metric

    size = min(1000, len(x))
    options = {"kid_subsets": 100, "kid_subset_size": size, "verbose": False}
    return kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **options)


_CODE = """
import sys, time, numpy as np
from eval_unlearn.metrics.fid.metric import _calculate_fid
x, y = (np.load(p) for p in sys.argv[1:])
start = time.perf_counter()
value = _calculate_fid(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
print(value, time.perf_counter() - start)
"""


def _eval_unlearn(python: Path, x: Any, y: Any) -> tuple[float, float]:
    """Its distance and its seconds, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.npy" for name in "xy"]
        for path, z in zip(paths, (x, y), strict=True):
            np.save(path, z)
        done = subprocess.run([str(python), "-c", _CODE, *paths], capture_output=True, text=True, check=True)
    value, seconds = map(float, done.stdout.split()[-2:])
    return value, seconds
