# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Did the machine give the nodes their time? If not, what they did says nothing about them."""

from __future__ import annotations

from itertools import pairwise

from harness.deployment import DeploymentUnderTest
from harness.wire import NS
from harness.witness import stamp_ns

#: A pause between joint states, sent every 10 ms, that nobody asked for [s].
GAP_S = 0.04
#: The effects of a suspension last a little longer than itself [s].
_AFTER_S = 0.15


def starvation(deployment: DeploymentUnderTest, begin_ns: int) -> str:
    """Return how the machine starved the nodes since a monotonic time; empty if it did not."""
    w = deployment.witness
    w.drain()
    begin_ns += w.offset_ns
    found = []
    missed = 0
    for before, status in pairwise(w.statuses):
        at_ns = stamp_ns(status.header.stamp)
        late = status.missed_ticks - before.missed_ticks
        if at_ns > begin_ns and late > 0 and not _paused(deployment, 'controller', at_ns):
            missed += late
    if missed:
        found.append(f'{missed} control ticks were missed')
    if not deployment.joints_disturbed:
        gaps = [
            (sent_ns - before_ns) / NS
            for (before_ns, _), (sent_ns, _) in pairwise(w.joint_states)
            if sent_ns > begin_ns and not _paused(deployment, 'sim_robot', sent_ns)
        ]
        if gaps and max(gaps) > GAP_S:
            found.append(f'no joint states were sent for {max(gaps):.2f} s')
    return '; '.join(found)


def _paused(deployment: DeploymentUnderTest, name: str, at_ns: int) -> bool:
    """Whether a time on the system clock lies in or right after a suspension by the test."""
    at_ns -= deployment.witness.offset_ns
    return any(
        one == name and begin <= at_ns and (not end or at_ns <= end + _AFTER_S * NS)
        for one, begin, end in deployment.pauses
    )
