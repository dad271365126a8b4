# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Heartbeat: how a process that infers shows its supervisor that it has not got stuck.

Through a pipe, one line per beat: how long the supervisor is to wait for the next one [s], or 0,
for ever: while a model is being loaded, and while nobody wants an inference. There is no beat
within an inference, so that a graph that never returns and a process that was stopped (SIGSTOP)
look the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import contextlib
import math
import os
import threading
import time

#: By this variable the supervisor says which descriptor it listens to.
VARIABLE = 'BC_HEARTBEAT'
#: An inference is stuck after this time at least [s], and after so many times its p99.
LEAST_PATIENCE_S = 2.0
PATIENCE_FACTOR = 5.0
FOR_EVER = 0.0

_BEAT_PERIOD_S = 0.25
#: A supervisor that has not looked for this long knows nothing about the silence meanwhile [s].
_LOOK_GAP_S = 1.0
_REMEMBERED = 500


class Patience:
    """How long an inference may take before it counts as stuck."""

    def __init__(self) -> None:
        self._durations_s: deque[float] = deque(maxlen=_REMEMBERED)

    def restart(self, typical_s: float) -> None:
        """Begin anew for a policy whose warm-up took this long per inference [s]; NaN: unknown."""
        self._durations_s.clear()
        self.note(typical_s)

    def note(self, duration_s: float) -> None:
        """Take the duration of an inference [s]."""
        if math.isfinite(duration_s):
            self._durations_s.append(duration_s)

    @property
    def limit_s(self) -> float:
        """The time [s]: max(2 s, 5 p99)."""
        known = sorted(self._durations_s)
        p99_s = known[math.ceil(0.99 * len(known)) - 1] if known else 0.0
        return max(LEAST_PATIENCE_S, PATIENCE_FACTOR * p99_s)


class Heartbeat:
    """Beats in a thread of its own, in the process that is watched.

    Args:
        descriptor: Where the beats go; None: nobody listens.
        wanted: Whether inferences are wanted now.
        loading: Whether a model is being loaded; that may hold the interpreter for long.
    """

    def __init__(
        self,
        descriptor: int | None,
        *,
        wanted: Callable[[], bool],
        loading: Callable[[], bool],
    ) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._loading = loading
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._since_s: float | None = None
        self._limit_s = LEAST_PATIENCE_S
        self._said_s = FOR_EVER
        if descriptor is not None:
            # What is not read must not make this process wait.
            os.set_blocking(descriptor, False)

    def start(self) -> None:
        """Begin to beat."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name='heartbeat', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat no more, and say so."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None
        self._say(FOR_EVER)

    def begin(self, limit_s: float) -> None:
        """Say that an inference begins that must not take longer than this [s]."""
        self._limit_s = limit_s
        self._since_s = time.monotonic()
        self._say(FOR_EVER if self._loading() else limit_s)

    def finish(self) -> None:
        """Say that it has ended."""
        self._since_s = None
        self.beat()

    def beat(self) -> None:
        """Beat once, if there is a reason to."""
        since_s = self._since_s
        if since_s is None:
            idle = self._loading() or not self._wanted()
            self._say(FOR_EVER if idle else self._limit_s)
        elif self._loading():
            # The interpreter may be busy elsewhere; the time begins again after that.
            self._since_s = time.monotonic()
            self._say(FOR_EVER)
        elif self._said_s == FOR_EVER:
            self._say(self._limit_s)

    def _run(self) -> None:
        while not self._ending.wait(_BEAT_PERIOD_S):
            self.beat()

    def _say(self, patience_s: float) -> None:
        self._said_s = patience_s
        if self._descriptor is None:
            return
        # Where nobody reads, the beats that are there already are enough.
        with contextlib.suppress(OSError):
            os.write(self._descriptor, f'{patience_s:.3f}\n'.encode())


class HeartbeatWatch:
    """Listens to the beats, in the supervisor.

    Args:
        descriptor: Read end of the pipe; closed by `close`.
        now_s: Monotonic time [s].
    """

    def __init__(self, descriptor: int, *, now_s: float) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._heard_s = self._looked_s = now_s
        self._patience_s = FOR_EVER
        self._rest = b''

    def silence_s(self, now_s: float) -> float:
        """Return for how long no beat has come although one should have [s]; 0: all is well."""
        gap_s, self._looked_s = now_s - self._looked_s, now_s
        lines = self._read()
        if lines or gap_s > _LOOK_GAP_S:
            self._heard_s = now_s
        if lines:
            self._patience_s = lines[-1]
        silence_s = now_s - self._heard_s
        waits = self._patience_s > FOR_EVER and silence_s > self._patience_s
        return silence_s if waits else 0.0

    def close(self) -> None:
        """Stop to listen."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self) -> list[float]:
        data = self._rest
        while self._descriptor is not None:
            try:
                piece = os.read(self._descriptor, 65536)
            except BlockingIOError:
                break
            if not piece:  # the process has ended
                break
            data += piece
        *lines, self._rest = data.split(b'\n')
        return [float(line) for line in lines]


def heartbeat_of_process(*, wanted: Callable[[], bool], loading: Callable[[], bool]) -> Heartbeat:
    """Return this process's heartbeat, for whoever started it."""
    text = os.environ.get(VARIABLE, '')
    return Heartbeat(int(text) if text.isdigit() else None, wanted=wanted, loading=loading)
