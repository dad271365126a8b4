# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Ticks that raise, mixed at random with gaps, stops and takeovers; see `test_silence.py`."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st
import pytest
from test_failed_ticks import STAGES, Broken, broken
from test_silence import STEPS, GapRig, finish, in_motion, take_step

from bc_runtime.safety import Event, Flag

FAILURES = st.one_of(
    st.tuples(
        st.just('raises'),
        st.tuples(st.sampled_from(sorted(STAGES)), st.integers(1, 20), st.booleans()),
    ),
    st.tuples(st.just('no tick'), st.integers(1, 10)),
    st.tuples(st.just('no message'), st.integers(1, 10)),
    st.tuples(st.just('publishing raises'), st.booleans()),
)


class FailingRig(GapRig):
    """A rig that says what it has sent, and whose ticks may fail in every way."""

    def given_up(self) -> None:
        self.loop.fail(Flag.INTERNAL_ERROR, 'Broken')
        self.loop.abandon()

    def good(self) -> None:
        """A tick whose command the driver gets, and the loop knows."""
        self.step()
        if self.results[-1].command is not None and self.loop.in_time(self.t):
            self.loop.sent(self.t, self.t)

    def raises(self, stage: str, *, told: bool) -> None:
        with pytest.MonkeyPatch.context() as patch, suppress(Broken):
            missed = self.missed
            patch.setattr(*STAGES[stage](self.loop), broken)
            try:
                self.step()
            except Broken:
                self.missed = missed
                if told:
                    self.given_up()
                    self.missed += 1

    def no_tick(self) -> None:
        self.pass_time()
        self.given_up()
        self.missed += 1

    def not_sent(self, *, handed: bool, left: bool) -> None:
        messages, path = list(self.messages), len(self.moved)
        if self.step().command is None:
            return
        if not left:
            self.messages, self.moved = messages, self.moved[:path]
            self.moved.append((self.t, self.reference(self.t)))
        if handed:
            self.loop.in_time(self.t)
        self.given_up()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(STEPS, FAILURES), min_size=2, max_size=14))
@example([('run', 1), ('raises', ('command', 1, False))])
@example([('no message', 1), ('no tick', 1)])
def test_property_no_failed_tick_sends_the_driver_faster_than_the_limits_allow(steps):
    rig = in_motion(FailingRig())
    for what, value in steps:
        rig.good()
        if what == 'raises':
            stage, ticks, told = value
            for _ in range(ticks):
                rig.raises(stage, told=told)
        elif what == 'no tick':
            for _ in range(value):
                rig.no_tick()
        elif what == 'no message':
            for _ in range(value):
                rig.not_sent(handed=False, left=False)
        elif what == 'publishing raises':
            rig.not_sent(handed=True, left=value)
        else:
            take_step(rig, what, value)
    rig.late = 0
    finish(rig)
    rig.loop.on_estop(False)
    rig.fresh = True
    for event in (Event.RESET, Event.START):
        rig.post(event)
        rig.run(0.5)
    rig.judge()
