# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that do not fit end no node, and states that were told before are heard."""

from __future__ import annotations

import copy

import pytest
from std_msgs.msg import Bool

from bc_msgs.msg import Observation, Tensor
from bc_runtime.ros import qos


def test_malformed_messages_and_names_end_no_node(deploy):
    d = deploy()
    w = d.witness
    d.auto()
    seen = len(w.chunks)

    observations = w.node.create_publisher(Observation, 'observation', qos.DATA)
    w.until(lambda: observations.get_subscription_count() >= 1, 'inference to listen')
    for dtype, shape, size in (('float32', [1, 7], 3), ('banana', [1], 4), ('float32', [2, 2], 8)):
        bad = Observation(valid=True, policy_id=w.policy.policy_id, epoch=w.chunks[-1].epoch)
        bad.header.stamp = w.node.get_clock().now().to_msg()
        bad.tensors = [Tensor(name='state', dtype=dtype, shape=shape, data=bytes(size))]
        observations.publish(bad)

    for change in ({'kinds': ['teleport'] * 7}, {'references': ['sideways'] * 7},
                   {'sequence': 2**63 + 5}, {'stamp_index': 2**31 - 1}):  # fmt: skip
        chunk = copy.deepcopy(w.chunks[-1])
        for name, value in change.items():
            setattr(chunk, name, value)
        w.chunk_publisher.publish(chunk)
        seen = len(w.chunks)
        w.until(lambda: len(w.chunks) > seen + 3, 'good chunks in between')  # noqa: B023

    for name in ('~nobody-of-this-name/x.onnx', 'x' * 300, '/proc/1/root/x.onnx'):
        assert w.try_parameters('inference', {'model': name})

    w.ticks(50)
    assert w.state == 'AUTO', w.tell()
    report = d.audit()
    assert report.violations == []
    assert 'observation refused' in d.log('inference')
    assert 'chunk refused' in d.log('controller')


@pytest.mark.parametrize('kind', ['latched', 'repeated'])
def test_an_emergency_stop_from_before_the_controller_is_heard(deploy, kind):
    d = deploy()
    w = d.witness
    if kind == 'latched':
        estop = w.node.create_publisher(Bool, 'estop', qos.LATCHED)
        estop.publish(Bool(data=True))
        w.until_state('ESTOP')
    d.kill('controller')
    events = w.mark()
    d.restart('controller')
    if kind == 'repeated':
        # The state of the killed controller is still what was said last: only an event is new.
        w.until(lambda: any(e.state == 'READY' for e in w.events[events:]), 'the new controller')

    def stopped() -> bool:
        if kind == 'repeated':
            w.estop.publish(Bool(data=True))
        return any(e.state == 'ESTOP' for e in w.events[events:])

    w.until(stopped, 'the stop')
    assert not w.wire.commands or not w.wire.commands[-1].moving
