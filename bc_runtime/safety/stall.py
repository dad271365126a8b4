# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""StallMonitor: a joint that is told to move and does not answer.

A distance between command and measurement says little by itself: every servo lags, and a policy
that plans from the measured state keeps its command near a blocked joint, for ever. What gives a
blocked joint away is that the distance moves nothing. A servo of first order with time constant T
obeys dq/dt = (command - q) / T, so that over any window, whatever the command did,

    progress of q = (sum of (command - q) over time) / T

A joint whose progress is less than half of what the largest lag to be expected would give, while
it is behind by more than `error` on average, is stalled. For first order and T up to that lag no
command whatever can raise a false alarm. A pure delay L differs from that by no more than what
the command does within L at both ends of the window, velocity · L, so that it is safe where
velocity · L² <= error · window · (1 - L / (2 · lag)).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bc_runtime.spec.errors import SafetyError

#: Less than this share of the expected progress is none.
_SHARE = 0.5
#: After a longer pause between measurements the window begins anew [s].
_PAUSE_NS = 100_000_000


class StallMonitor:
    """Compares how far joints were behind with how far they came, over a sliding window.

    Args:
        names: Joints in command order.
        watched: For each, whether it is judged. A gripper that holds something is always behind.
        error: Distances below this on average count as none [rad or m]: what the servo leaves at
            rest under its load must stay below.
        window_s: Length of the window [s].
        lag_s: Largest lag that the servo may have [s].
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        watched: Sequence[bool],
        error: float = 0.1,
        window_s: float = 0.5,
        lag_s: float = 0.2,
    ) -> None:
        if not (error > 0.0 and window_s > 0.0 and lag_s > 0.0):
            raise SafetyError(
                f'expected a positive error, window and lag, got {error=}, {window_s=}, {lag_s=}'
            )
        if len(watched) != len(names):
            raise SafetyError(f'expected {len(names)} entries of watched, got {len(watched)}')
        self._names = tuple(names)
        self._error = error
        self._window_ns = round(window_s * 1e9)
        self._lag_s = lag_s
        # (time, measured, error); each error holds until the next measurement.
        self._samples: deque[tuple[int, tuple[float, ...], tuple[float, ...]]] = deque()
        self.watch(watched)

    def watch(self, watched: Sequence[bool]) -> None:
        """Judge only these joints."""
        self._watched = tuple(j for j, judged in enumerate(watched) if judged)
        self._sums = [0.0] * len(self._names)
        self._samples.clear()

    def reset(self) -> None:
        """Begin again; call it whenever the limiter is seeded."""
        self._samples.clear()
        self._sums = [0.0] * len(self._names)

    def measure(self, now_ns: int, measured: Sequence[float], command: Sequence[float]) -> str:
        """Judge a measurement and the command of that time, shapes (n,), in command order.

        Args:
            now_ns: Monotonic time of its arrival.
            measured: Positions [rad or m].
            command: Positions [rad or m].

        Returns:
            The joints that are stalled and why, for people; empty if none is.
        """
        samples, sums = self._samples, self._sums
        if samples:
            if not 0 <= now_ns - samples[-1][0] <= _PAUSE_NS:
                self.reset()
            else:
                self._add(1.0, samples[-1], now_ns)
        at = tuple(measured)
        samples.append((now_ns, at, tuple(c - q for c, q in zip(command, at, strict=True))))
        while len(samples) > 1 and samples[1][0] <= now_ns - self._window_ns:
            first = samples.popleft()
            self._add(-1.0, first, samples[0][0])
        begin_ns, begin, _ = samples[0]
        span_s = (now_ns - begin_ns) * 1e-9
        if now_ns - begin_ns < self._window_ns:
            return ''
        found = []
        for j in self._watched:
            behind = self._sums[j]
            if abs(behind) <= self._error * span_s:
                continue
            came = (at[j] - begin[j]) if behind > 0.0 else (begin[j] - at[j])
            if came < _SHARE * abs(behind) / self._lag_s:
                found.append(
                    f'{self._names[j]}: behind by {sums[j] / span_s:+.3g} on average for '
                    f'{span_s:.2g} s and came {max(came, 0.0):.3g} nearer'
                )
        return '; '.join(found)

    def _add(
        self, sign: float, sample: tuple[int, tuple[float, ...], tuple[float, ...]], until_ns: int
    ) -> None:
        span = sign * (until_ns - sample[0]) * 1e-9
        for j in self._watched:
            self._sums[j] += span * sample[2][j]
