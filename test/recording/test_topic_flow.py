# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from bc_runtime.recording.topic_flow import (
    TopicAudit,
    TopicFlow,
    describe_losses,
    dump_audit,
    parse_audit,
)
from bc_runtime.spec.errors import RecordingError

MS = 1_000_000


def test_a_number_left_out_is_a_lost_message():
    flow = TopicFlow()
    lost = [flow.add(10 * MS * n, publisher=b'a', number=n) for n in (5, 6, 9, 10, 12)]
    assert lost == [0, 0, 2, 0, 1]
    assert flow.audit == TopicAudit(
        received=5, lost=3, largest_loss=2, largest_gap_s=0.03, rate_hz=57.14
    )


def test_each_publisher_counts_for_itself_and_latched_messages_may_come_again():
    flow = TopicFlow()
    for publisher, number in ((b'a', 7), (b'b', 100), (b'a', 8), (b'b', 101), (b'b', 101)):
        flow.add(0, publisher=publisher, number=number)
    assert flow.audit.lost == 0
    assert flow.add(0, publisher=b'b', number=103) == 1
    assert flow.add(0, publisher=b'b', number=101) == 0
    assert flow.add(0, publisher=b'b', number=104) == 0


def test_an_episode_begins_at_zero_but_a_loss_across_its_start_is_seen():
    flow = TopicFlow()
    flow.add(0, publisher=b'a', number=1)
    flow.add(0, publisher=b'a', number=5)
    flow.restart()
    assert flow.audit == TopicAudit()
    flow.add(0, publisher=b'a', number=6)
    flow.add(0, publisher=b'a', number=8)
    assert (flow.audit.received, flow.audit.lost) == (2, 1)


def test_a_middleware_without_numbers_reports_losses_itself():
    flow = TopicFlow()
    flow.add(1)
    flow.add_loss(4)
    flow.add(2)
    assert (flow.audit.received, flow.audit.lost, flow.audit.largest_loss) == (2, 4, 4)


def test_audit_goes_into_a_label_and_back():
    flow = TopicFlow()
    for number in (1, 2, 4):
        flow.add(number * MS, publisher=b'a', number=number)
    audits = {'/b': flow.audit, '/a': TopicAudit()}
    assert parse_audit(dump_audit(audits, {'/b': 2})) == audits
    assert parse_audit('') == {}
    with pytest.raises(RecordingError, match=r'bc\.audit'):
        parse_audit('{"/a": 3}')
    assert describe_losses({'/a': TopicAudit()}) == ''
    assert describe_losses(audits) == (
        '1 messages were sent and not received: 1 of /b (most in a row: 1)'
    )
