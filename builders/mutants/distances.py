"""Fréchet distance, KID, CMMD, and quality within prompts."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_ROOM: Final = "igmu_metrics/distances"
_TESTS: Final = ("tests/test_gaussian.py",)
_MOMENTS: Final = ("tests/test_moments.py",)
_QUALITY: Final = ("tests/test_quality.py",)

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "frechet-ddof",
        f"{_ROOM}/gaussian.py",
        "a = (x - mean_x) / np.sqrt(len(x) - 1)",
        "a = (x - mean_x) / np.sqrt(len(x))",
        _TESTS,
        "the covariance of one set is that of a population",
    ),
    Mutation(
        "moments-ddof",
        f"{_ROOM}/moments.py",
        "np.asarray(self.scatter / (self.n - 1))",
        "np.asarray(self.scatter / self.n)",
        _MOMENTS,
        "distances of many images differ from those of few",
    ),
    Mutation(
        "frechet-cross-sign",
        f"{_ROOM}/moments.py",
        "traces - 2.0 * cross)",
        "traces + 2.0 * cross)",
        (*_TESTS, *_MOMENTS),
        "equal sets are far apart",
    ),
    Mutation(
        "frechet-wrong-trace",
        f"{_ROOM}/gaussian.py",
        "float(np.sum(a * a) + np.sum(b * b))",
        "float(np.sum(a * a) + np.sum(a * a))",
        _TESTS,
        "the second set's spread is taken for the first's",
    ),
    Mutation(
        "moments-without-root",
        f"{_ROOM}/moments.py",
        "cross = float(np.sqrt(np.maximum(values, 0.0)).sum())",
        "cross = float(np.maximum(values, 0.0).sum())",
        _MOMENTS,
        "the trace is of the product, not of its root",
    ),
    Mutation(
        "means-not-squared",
        f"{_ROOM}/moments.py",
        "np.sum((mean_x - mean_y) ** 2)",
        "np.sum(np.abs(mean_x - mean_y))",
        (*_TESTS, *_MOMENTS),
        "the means' distance has another unit",
    ),
    Mutation(
        "kid-of-degree-two",
        f"{_ROOM}/mmd.py",
        "np.asarray(base * base * base)",
        "np.asarray(base * base)",
        _TESTS,
        "KID is not the published one",
    ),
    Mutation(
        "cmmd-of-another-sigma",
        f"{_ROOM}/mmd.py",
        "/ (2.0 * sigma**2)))",
        "/ sigma**2))",
        _TESTS,
        "CMMD is not the published one",
    ),
    Mutation(
        "pairs-of-one-prompt",
        f"{_ROOM}/mmd.py",
        "                sums[:, :, inside, inside] = 0.0\n",
        "",
        _TESTS,
        "images of one prompt pull KID and CMMD below zero",
    ),
    Mutation(
        "cmmd-of-any-length",
        f"{_ROOM}/gaussian.py",
        'x, y = _pair(unit_rows("x", x), unit_rows("y", y))\n    if unbiased:',
        "x, y = _pair(x, y)\n    if unbiased:",
        _TESTS,
        "CMMD depends on the length of embeddings",
    ),
    Mutation(
        "sets-without-ids-share-prompts",
        f"{_ROOM}/intervals.py",
        "            of_y = of_y + of_x.max() + 1\n",
        "",
        _TESTS,
        "images without ids are paired off by their place",
    ),
    Mutation(
        "jackknife-too-small",
        f"{_ROOM}/mmd.py",
        "float((len(without) - 1) * without.var())",
        "float(without.var())",
        _TESTS,
        "KID's interval is far too narrow",
    ),
    Mutation(
        "kid-of-few-with-interval",
        f"{_ROOM}/mmd.py",
        "    if min(prompts.counts) < 4:",
        "    if min(prompts.counts) < 2:",
        _TESTS,
        "three prompts get an interval that means nothing",
    ),
    Mutation(
        "frechet-interval-normal",
        f"{_ROOM}/jackknife.py",
        "float(stdtrit(min(prompts.counts) - 1, tails()[1]))",
        "float(stdtrit(min(prompts.counts) - 1, 0.95))",
        _MOMENTS,
        "the distance's interval is one of 90%",
    ),
    Mutation(
        "frechet-interval-of-images",
        f"{_ROOM}/jackknife.py",
        "prompts = Prompts.of(x, y, x_ids, y_ids)",
        "prompts = Prompts.of(x, y, None, None)",
        _MOMENTS,
        "seeds of one prompt are independent in the distance's interval",
    ),
    Mutation(
        "fidelity-beyond-one",
        f"{_ROOM}/quality.py",
        "return min(1.0, near / near_own), min",
        "return near / near_own, min",
        _QUALITY,
        "images nearer than the original's own seeds make up for lost variety",
    ),
    Mutation(
        "noise-is-diversity",
        f"{_ROOM}/quality.py",
        "            np.minimum(self.unlearned / typical, 1.0),\n",
        "            self.unlearned / typical,\n",
        _QUALITY,
        "images of noise make up for prompts with one image for all seeds",
    ),
    Mutation(
        "fidelity-by-own-seed",
        f"{_ROOM}/quality.py",
        "across = [_distances(before, after, first, second), _distances(before, after, second, first)]",
        "across = [_distances(before, after, first, first), _distances(before, after, second, second)]",
        _QUALITY,
        "a model that changes nothing but the seed loses fidelity",
    ),
    Mutation(
        "neighbours-off-by-one",
        f"{_ROOM}/quality.py",
        "np.partition(among, neighbours - 1, axis=1)[:, neighbours - 1]",
        "np.partition(among, neighbours, axis=1)[:, neighbours]",
        _QUALITY,
        "coverage is that of one neighbour more",
    ),
    Mutation(
        "coverage-counts-itself",
        f"{_ROOM}/quality.py",
        "    np.fill_diagonal(among, np.inf)\n",
        "",
        _QUALITY,
        "every image is its own neighbour",
    ),
    Mutation(
        "quality-of-one-half",
        f"{_ROOM}/quality.py",
        "turns = (halves, halves[::-1])",
        "turns = (halves, halves)",
        _QUALITY,
        "half of the seeds are never the reference",
    ),
)
