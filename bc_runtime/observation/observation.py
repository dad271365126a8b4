# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Observation: the policy's inputs at one ROS time, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.alignment import Selection
from bc_runtime.observation.reasons import Reason
from bc_runtime.observation.stream_buffer import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """How one stream served the observation.

    Attributes:
        name: `joint_states`, `cameras/<name>`, `streams/<name>` or `instruction`.
        stamp_ns: Stamp of the newest sample used, ROS time after latency correction; if none could
            be used, of the newest sample there is; None if nothing has arrived.
        age_ns: now - stamp_ns; None without a sample.
        skew_ns: Largest distance between a wanted time and a sample used for it, over the history;
            None if the stream could not serve.
        reason: Code of the first reason or warning of this stream, empty if it is good.
    """

    name: str
    stamp_ns: int | None
    age_ns: int | None
    skew_ns: int | None
    reason: str


def make_report(
    name: str,
    selections: Sequence[Selection[Sample[Any]]] | None,
    newest: Sample[Any] | None,
    now_ns: int,
    complaints: Sequence[Reason],
) -> StreamReport:
    """Return the report of a stream.

    Args:
        name: The stream.
        selections: What was chosen, oldest first; None if the stream could not serve.
        newest: The newest sample that there is.
        now_ns: ROS time that ages count to.
        complaints: Reasons and warnings of all streams.
    """
    used = newest if selections is None else selections[-1].newest
    return StreamReport(
        name=name,
        stamp_ns=None if used is None else used.stamp_ns,
        age_ns=None if used is None else now_ns - used.stamp_ns,
        skew_ns=None if selections is None else max(s.skew_ns for s in selections),
        reason=next((c.code.value for c in complaints if c.stream == name), ''),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the policy sees.

    Attributes:
        stamp_ns: The time that every tensor is aligned to, ROS time.
        tensors: Policy input -> read-only array, shaped as the graph wants it, batch dimension
            included. Empty if not valid: nothing is ever filled in.
        valid: Whether the policy may act on it.
        reasons: Why it is not valid.
        warnings: What is suspicious but does not make it invalid (`BLANK`).
        streams: One report per stream.
        instruction: The instruction in words; empty if the policy takes none.
        anchor: Joint (or vector) name -> observed value at `stamp_ns`, for actions that are
            relative to the observed state [rad, m or the unit of the vector].
    """

    stamp_ns: int
    tensors: Mapping[str, NDArray[np.generic]]
    valid: bool
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    streams: tuple[StreamReport, ...]
    instruction: str
    anchor: Mapping[str, float]
