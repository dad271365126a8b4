# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RecordingMonitor: is what happens being recorded? It warns; the robot never waits for a disk."""

from __future__ import annotations

from collections.abc import Mapping

from bc_runtime.safety import Flag

#: The recorder reports an open bag once a second; after this time of silence it is gone [s].
PATIENCE_S = 3.5


class RecordingMonitor:
    """Judges what the recorder says of its episode; without an episode there is nothing to say."""

    def __init__(self) -> None:
        self._heard_ns = 0
        self._recording = False
        self._problem = ''

    def update(self, *, over: bool, recording: bool, problem: str, arrival_ns: int) -> None:
        """Take what the recorder says.

        Args:
            over: Somebody has ended the episode.
            recording: Its bag is open.
            problem: What is wrong with it, empty if nothing is.
            arrival_ns: Monotonic.
        """
        self._heard_ns = arrival_ns
        self._recording = recording and not over
        self._problem = '' if over else problem

    def flags(self, mono_ns: int) -> Mapping[Flag, str]:
        """Return both flags and their texts, empty where all is well."""
        silence_s = (mono_ns - self._heard_ns) * 1e-9
        lost = self._recording and silence_s > PATIENCE_S
        return {
            Flag.RECORDER_DEGRADED: self._problem,
            Flag.RECORDER_LOST: f'nothing was heard of it for {silence_s:.1f} s' if lost else '',
        }
