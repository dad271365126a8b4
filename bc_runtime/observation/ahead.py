# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DecodeAhead: which frames the next observation will use, before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bc_runtime.observation.stream_buffer import Sample
from bc_runtime.observation.streams import Stream

#: A frame may come this part of its period later than foreseen.
_LATE = 0.25


class DecodeAhead:
    """Foresees the next reference time from the rates of the cameras.

    It is the first stamp of a camera frame from the due time on. Every camera whose newest frame
    can still be served then (see `Stream.reach`) will answer with that frame, unless the cameras
    are less steady than their rate says; then a decode was in vain, and nothing else happens.

    Args:
        cameras: Stream name -> (camera, frame period [ns]).
    """

    def __init__(self, cameras: Mapping[str, tuple[str, int]]) -> None:
        self._cameras = cameras
        self._due_ns: int | None = None
        self._chosen: set[str] = set()

    def choose(self, due_ns: int, streams: Iterable[Stream]) -> list[tuple[str, Sample[Any]]]:
        """Return (camera, frame) to decode now; no camera twice for one due time."""
        if due_ns != self._due_ns:
            self._due_ns = due_ns
            self._chosen.clear()
        cameras = [stream for stream in streams if stream.is_camera]
        newest = {stream.name: stream.buffer.newest for stream in cameras}
        times = [
            _next_stamp(sample.stamp_ns, self._cameras[name][1], due_ns)
            for name, sample in newest.items()
            if sample is not None
        ]
        if not times or len(times) < len(cameras):
            return []
        t_ns = min(times)
        frames = []
        for stream in cameras:
            sample, reach = newest[stream.name], stream.reach()
            if sample is None or reach is None or stream.name in self._chosen:
                continue
            late_ns = round(_LATE * self._cameras[stream.name][1])
            if sample.stamp_ns - late_ns <= t_ns <= reach:
                self._chosen.add(stream.name)
                frames.append((self._cameras[stream.name][0], sample))
        return frames


def _next_stamp(stamp_ns: int, period_ns: int, due_ns: int) -> int:
    """Return the first of stamp, stamp + period, ... that is not before the due time."""
    return stamp_ns + max(0, -((stamp_ns - due_ns) // period_ns)) * period_ns
