# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Silence: where the driver goes while nothing is sent, and when commands may begin again.

A driver that is left alone follows the braking tail of the last message: through missed ticks, and
just as well through an emergency stop or any other state that sends nothing. The command follows
it there, step by step. Only where it has come to rest, and the robot behind it, too, does a
measurement say where the robot *is*; one that is taken earlier is where a moving robot was, and a
command from there would pull it back.
"""

from __future__ import annotations

from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.motion import Motion
from bc_runtime.control.no_joints import NoJoints

#: After so long without a command, and with fresh joint states, a robot that still moves is moved
#: by somebody else, and begins from wherever it is [ns].
_PATIENCE_NS = 1_000_000_000
#: Handing a message over takes no longer than so many periods, or nobody knows when it left.
_UNSURE = 2


class Silence:
    """What has been sent, what the driver made of it since, and what begins anew.

    Args:
        motion: Its command follows the driver.
        says: What the robot says.
        dt_ns: Nominal control period.
        reseed_distance: A robot that is farther than this from the command begins from where it
            is [rad or m].
        settles: Whether a place is commanded. A velocity has no place to be pulled back to, and
            is brought to zero before silence.
    """

    def __init__(
        self,
        motion: Motion,
        says: JointMonitor | NoJoints,
        *,
        dt_ns: int,
        reseed_distance: float,
        settles: bool,
    ) -> None:
        self._motion = motion
        self._says = says
        self._dt_ns = dt_ns
        self._distance = reseed_distance
        self._settles = settles
        self._patience = _PATIENCE_NS // dt_ns
        self._sent_ns: int | None = None
        self._alone = 0
        self._gone = 0
        self._quiet = 0
        self._unsure = False
        self._asked = False
        self._due = False
        self._always = False
        self._before: tuple[int | None, int, int, bool] = (None, 0, 0, False)
        self.speaking = False
        """Whether the last tick gave a command."""

    def pass_time(self, mono_ns: int, missed: int, *, stalled: bool) -> str:
        """Follow the driver to the beginning of a tick; return what went wrong.

        Args:
            mono_ns: Monotonic time of the tick.
            missed: Deadlines without a tick since the last one.
            stalled: The process stood still: what was received before is old.
        """
        self._alone += missed + (not self.speaking)
        if stalled:
            self._quiet = 0
            self._says.unsettle()
        if self._settles and not (self.speaking or self._motion.has_tail or self._motion.rests):
            # A driver of set-points has stopped on the last one.
            self._motion.seed(self._motion.position)
        if self._sent_ns is None:
            return ''
        # The driver's time with a message begins when it was sent, however late that was.
        periods = round((mono_ns - self._sent_ns) / self._dt_ns)
        steps = max(0, min(self._alone, periods - 1) - self._gone)
        self._gone += steps
        return self._motion.catch_up(steps) if steps else ''

    # Beginning anew ---------------------------------------------------------------------------

    def ask_for_seed(self, *, always: bool) -> None:
        """Begin from the measurement as soon as it counts.

        Args:
            always: Also where the robot is hardly away from the command.
        """
        self._due = True
        self._always = self._always or always
        self.seed_if_settled()

    def seed_if_settled(self) -> None:
        """Begin from the measurement if that was asked for and the robot is at rest."""
        if not self._due:
            return
        near = self.speaking and not self._always and not self._moved()
        if near or self._settled():
            self._seed()

    def may_speak(self) -> bool:
        """Return whether commands may go on, or begin again; then the command is where they do."""
        self._asked = True
        if self._unsure:
            if not self._motion.rests:
                return False
            self._unsure = False
        if not self._settles or (self.speaking and not self._due):
            return True
        if not self._settled():
            return False
        self._seed()
        return True

    # What goes out ----------------------------------------------------------------------------

    def note(self, *, speaks: bool, mono_ns: int, fresh: bool) -> None:
        """Note whether this tick gave a command; `fresh`: the joint states are."""
        self._before = (self._sent_ns, self._alone, self._gone, self.speaking)
        withheld = self._unsure and self._asked and not speaks
        self._unsure = withheld
        self._asked = False
        self.speaking = speaks or withheld
        if speaks:
            self._sent_ns, self._alone, self._gone, self._quiet = mono_ns, 0, 0, 0
        else:
            self._alone += withheld
            self._quiet = self._quiet + 1 if fresh else 0

    def sent(self, begin_ns: int, end_ns: int) -> None:
        """Note when the command was handed over; it left in between (monotonic).

        If that took long, nobody knows how far the driver is with it. Wherever that is, it comes
        to rest at the end of the tail, and there it can be met again.
        """
        self._sent_ns = begin_ns
        if self._motion.has_tail and end_ns - begin_ns > _UNSURE * self._dt_ns:
            self._sent_ns = end_ns
            self._unsure = True

    def in_time(self, now_ns: int) -> bool:
        """Return whether the command of this tick may still be sent; take it back if not.

        A process that was stopped in the middle of a tick would send the driver, which has gone
        on meanwhile, back to where it was then.
        """
        late_ns = now_ns - (self._sent_ns or now_ns)
        if not (self._motion.has_tail and late_ns > self._dt_ns):
            return True
        self._motion.withdraw()
        self._sent_ns, self._alone, self._gone, self.speaking = self._before
        self._alone += self.speaking
        return False

    # Inside -----------------------------------------------------------------------------------

    def _settled(self) -> bool:
        if not self._settles or self._sent_ns is None:
            return True
        if self._motion.has_tail and not self._motion.rests:
            return False
        return self._says.still or self._quiet >= self._patience

    def _moved(self) -> bool:
        return self._says.distance(self._motion.position) > self._distance

    def _seed(self) -> None:
        measured = self._says.measured
        if self._settles and measured is None:
            return
        if self._always or self._moved():
            self._motion.seed(measured)
            self._says.reset()
        self._due = self._always = False
