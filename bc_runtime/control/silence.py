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

from enum import Enum, auto

from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.motion import Motion
from bc_runtime.control.no_joints import NoJoints

#: After so long without a command, and with fresh joint states, a robot that still moves is moved
#: by somebody else, and begins from wherever it is [ns].
_PATIENCE_NS = 1_000_000_000
#: Handing a message over takes no longer than so many periods, or nobody knows when it left.
_UNSURE = 2


_Kept = tuple[tuple[int | None, int, int, int], tuple[bool, bool, bool, bool, bool]]


class _Way(Enum):
    """How far a tick and its command have come."""

    DECIDING = auto()
    MADE = auto()
    LEAVING = auto()
    DONE = auto()


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
        # The command was taken from a measurement and has not been sent since.
        self._unsaid = False
        self.speaking = False
        """Whether the last tick gave a command."""
        self._way = _Way.DONE
        self._ticked_ns: int | None = None
        self._begun = self._before = self._kept()
        self._place = motion.place()

    @property
    def certain(self) -> bool:
        """Whether the last tick gave a command and the joint states agree where the robot is."""
        return self.speaking and self._says.agreed

    def pass_time(self, mono_ns: int, missed: int, *, stalled: bool) -> str:
        """Follow the driver to the beginning of a tick; return what went wrong.

        Args:
            mono_ns: Monotonic time of the tick.
            missed: Deadlines without a tick since the last one.
            stalled: The process stood still: what was received before is old.
        """
        if self._way is _Way.DECIDING:  # the last tick failed, and nobody said so
            self.abandon()
        self._way = _Way.DECIDING
        self._begun, self._place = self._kept(), self._motion.place()
        # Time tells of ticks that nobody has counted, whatever became of them.
        gone = 0 if self._ticked_ns is None else (mono_ns - self._ticked_ns) // self._dt_ns - 1
        self._alone += max(missed, gone) + (not self.speaking)
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
        if self._says.take_jump():  # somebody has put it elsewhere
            self._due = self._always = True
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
        # Whoever begins to be heard begins from where the robot is: that must be certain.
        if not (self.speaking or self._says.agreed) or not self._settled():
            return False
        self._seed()
        return True

    # What goes out ----------------------------------------------------------------------------

    def note(self, *, speaks: bool, mono_ns: int, fresh: bool) -> None:
        """Note whether this tick gave a command; `fresh`: the joint states are."""
        self._before = self._kept()
        withheld = self._unsure and self._asked and not speaks
        self._unsure = withheld
        self._asked = False
        self.speaking = speaks or withheld
        if speaks:
            self._sent_ns, self._alone, self._gone, self._quiet = mono_ns, 0, 0, 0
            self._unsaid = False
        else:
            self._alone += withheld
            self._quiet = self._quiet + 1 if fresh else 0

    def decided(self, *, speaks: bool, mono_ns: int) -> None:
        """Note that a tick has come to its end; its command, if there is one, may go out."""
        self._way = _Way.MADE if speaks else _Way.DONE
        self._ticked_ns = mono_ns

    def sent(self, begin_ns: int, end_ns: int) -> None:
        """Note when the command was handed over; it left in between (monotonic).

        If that took long, nobody knows how far the driver is with it. Wherever that is, it comes
        to rest at the end of the tail, and there it can be met again.
        """
        self._way = _Way.DONE
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
            self._way = _Way.LEAVING
            return True
        self._withdraw()
        return False

    def abandon(self) -> None:
        """Take back what a tick did that failed, so far as the driver does not know it.

        A tick that was not decided counts as one that was missed: the caller tells the next one.
        """
        way, self._way = self._way, _Way.DONE
        if way is _Way.DECIDING:
            self._restore(self._begun)
            self._motion.put_back(self._place)
        elif way is _Way.LEAVING and self._motion.has_tail:
            # Nobody knows whether it left. Both tails end at rest; there the robot is measured.
            self._unsure = self._due = self._always = True
        elif way in (_Way.MADE, _Way.LEAVING):
            self._withdraw()

    # Inside -----------------------------------------------------------------------------------

    def _kept(self) -> _Kept:
        return (
            (self._sent_ns, self._alone, self._gone, self._quiet),
            (self._unsure, self._due, self._always, self._unsaid, self.speaking),
        )

    def _restore(self, kept: _Kept) -> None:
        self._sent_ns, self._alone, self._gone, self._quiet = kept[0]
        self._unsure, self._due, self._always, self._unsaid, self.speaking = kept[1]
        self._asked = False

    def _withdraw(self) -> None:
        """Take back a command that was not sent."""
        self._way = _Way.DONE
        self._motion.withdraw()
        self._restore(self._before)
        self._alone += self.speaking

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
        # A robot that sags is held where it was told to be; where nobody told it to be, it is not.
        if self._always or self._unsaid or self._moved():
            command = self._motion.position if self._motion.seeded else None
            self._motion.seed(self._says.beginning(command))
            self._says.reset()
            self._unsaid = True
        self._due = self._always = False
