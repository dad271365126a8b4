# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""foreign_clock: are these stamps of another clock altogether, and of which?"""

from __future__ import annotations

#: Clocks of machines that were set once differ by less; time zones by this and more [ns].
_OFF_NS = 1800 * 1_000_000_000
#: A clock that counts from the start of something stays below, a date is above [ns].
_DATE_NS = 10 * 365 * 86400 * 1_000_000_000
#: Uptimes that are this near are of this machine [ns].
_NEAR_NS = 60 * 1_000_000_000


def foreign_clock(stamp_ns: int, now_ns: int, uptime_ns: int) -> str:
    """Return which other clock a stamp is of, and what to do; empty for one of the ROS clock.

    Args:
        stamp_ns: Of a sample that has just come.
        now_ns: The ROS clock.
        uptime_ns: The monotonic clock of this machine.
    """
    if abs(stamp_ns - now_ns) < _OFF_NS:
        return ''
    if stamp_ns == 0:
        what = 'its driver leaves the stamp empty'
    elif abs(stamp_ns - uptime_ns) < _NEAR_NS:
        what = 'its driver stamps with the uptime of this machine, not with ROS time'
    elif stamp_ns < _DATE_NS:
        what = (
            f'its stamps ({stamp_ns * 1e-9:.0f} s) are no date: they count from the start of '
            'another machine or of a simulation'
        )
    elif now_ns < _DATE_NS:
        what = 'its driver stamps with the system clock, and this node follows /clock'
    else:
        what = f'its clock is {abs(stamp_ns - now_ns) / 3.6e12:.1f} hours off'
    return f'{what}; set `clock: arrival` for this stream in the robot YAML, or correct its driver'
