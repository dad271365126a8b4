# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Observation: the policy's inputs at one ROS time, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.reasons import Reason


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
