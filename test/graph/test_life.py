# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Normal life: start, move, stop; and every way of ending."""

from __future__ import annotations


def test_start_align_auto_stop(live):
    w = live.witness
    begin = len(w.events)
    sent = len(w.wire.commands)
    w.ticks(20)
    assert len(w.wire.commands) == sent, 'nothing is sent before the start'
    live.auto()
    w.ticks(100)
    w.ask('controller/stop')
    w.until_event('READY', start=begin)
    assert w.transitions(begin) == [
        'ALIGN [STARTED]',
        'AUTO [ALIGNED]',
        'BRAKING [OPERATOR_STOP]',
        'READY [OPERATOR_STOP]',
    ]
    report = live.audit()
    assert report.commands > 100
    assert not w.wire.commands[-1].moving
