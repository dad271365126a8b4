# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Honest intervals for few trials, and percentiles.

Ten of ten successes do not mean 100 %: the 95 % Wilson interval begins at 72 %. Wilson is for
display (its coverage is right on average), Clopper-Pearson for claims (never below its level).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from bc_runtime.spec.errors import BcError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval of a probability, within [0, 1]."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval | None:
    """Return the two-sided score interval of a success rate; None without trials.

    The set of p that a normal test of level 1 - confidence does not reject, with the variance
    taken at p:  (k + z^2/2 +- z sqrt(k(n-k)/n + z^2/4)) / (n + z^2).

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927) 209-212; recommended for small n by L. D. Brown, T. T. Cai, A. DasGupta,
    Interval estimation for a binomial proportion, Statistical Science 16 (2001) 101-133.

    Raises:
        BcError: Not 0 <= successes <= trials, or the confidence is not in (0, 1).
    """
    _check(successes, trials, confidence)
    if trials == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    center = successes + z * z / 2.0
    spread = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4.0)
    total = trials + z * z
    # At the ends the formula gives exactly 0 and 1; rounding does not.
    low = 0.0 if successes == 0 else (center - spread) / total
    high = 1.0 if successes == trials else (center + spread) / total
    return Interval(low=max(0.0, low), high=min(1.0, high))


def clopper_pearson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> Interval | None:
    """Return the two-sided exact interval of a success rate; None without trials.

    low solves P(X >= k | p) = alpha/2 and high solves P(X <= k | p) = alpha/2 for X binomial.
    It covers the truth with at least the stated confidence whatever the truth is.

    Source: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in
    the case of the binomial, Biometrika 26 (1934) 404-413.

    Raises:
        BcError: Not 0 <= successes <= trials, or the confidence is not in (0, 1).
    """
    _check(successes, trials, confidence)
    if trials == 0:
        return None
    tail = (1.0 - confidence) / 2.0
    low = 0.0
    if successes > 0:
        low = _solve(lambda p: _upper_tail(successes, trials, p) - tail)
    high = 1.0
    if successes < trials:
        high = 1.0 - _solve(lambda p: _upper_tail(trials - successes, trials, p) - tail)
    return Interval(low=low, high=high)


def percentiles(
    values: ArrayLike, ranks: Iterable[float] = (50.0, 99.0)
) -> dict[str, float | None]:
    """Return `{'p50': ..., 'p99': ...}` of the finite values; None each where there are none.

    Linear interpolation between order statistics (NumPy's default, type 7 of R. J. Hyndman and
    Y. Fan, The American Statistician 50 (1996) 361-365).
    """
    wanted = list(ranks)
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[np.isfinite(array)]
    if array.size == 0:
        return {f'p{rank:g}': None for rank in wanted}
    found = np.percentile(array, wanted)
    return {f'p{rank:g}': float(value) for rank, value in zip(wanted, found, strict=True)}


def _check(successes: int, trials: int, confidence: float) -> None:
    if not 0 <= successes <= trials:
        raise BcError(
            f'expected 0 <= successes <= trials, got {successes} successes in {trials} trials'
        )
    if not 0.0 < confidence < 1.0:
        raise BcError(f'confidence is {confidence}; expected a value between 0 and 1, e.g. 0.95')


def _upper_tail(k: int, n: int, p: float) -> float:
    """Return P(X >= k) of X binomial(n, p); increases with p."""
    if p <= 0.0:
        return 0.0
    if p >= 1.0:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    terms = (
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(i + 1)
            - math.lgamma(n - i + 1)
            + i * log_p
            + (n - i) * log_q
        )
        for i in range(k, n + 1)
    )
    return math.fsum(terms)


def _solve(function: Callable[[float], float]) -> float:
    """Return the root in [0, 1] of an increasing function, by bisection to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2.0
        if function(middle) < 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
