# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about the policy, its process and its chunks."""

from __future__ import annotations

import copy

from harness import policies
from harness.deployment import ATTEMPTS, trigger
from harness.reaction import (
    DT_S,
    clock_offset_ns,
    goes_on,
    plan_end_ns,
    stands_still,
    stop_after,
    undisturbed,
)
from harness.wire import NS
from harness.witness import stamp_ns
import pytest

#: The plan of a chunk after its observation [s].
HORIZON_S = policies.CHUNK / policies.CONTROL_HZ


def republish(live, count=1, **changes):
    """Publish copies of the newest chunk with other fields, as if they were new."""
    w = live.witness
    for k in range(count):
        msg = copy.deepcopy(w.chunks[-1])
        msg.sequence += 1000 + k
        msg.header.stamp = w.node.get_clock().now().to_msg()
        for name, change in changes.items():
            setattr(msg, name, change(getattr(msg, name)))
        w.chunk_publisher.publish(msg)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@undisturbed
def test_row_12_one_bad_element_rejects_the_chunk(moving, faults, bad):
    w = moving.witness
    events, rejected = w.mark(), w.status.chunks_rejected

    def spoil(values):
        values[3] = bad
        return values

    republish(moving, values=spoil)
    w.until(lambda: w.status.chunks_rejected > rejected, 'the rejection')
    w.watch(0.5)
    goes_on(moving, events)
    faults.add(
        12,
        f'one {bad} in a chunk',
        measured='rejected, the old plan goes on',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_12_policy_gives_only_nan(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.say(policies.SAY_NAN)
    reaction = stop_after(
        moving, at_ns, events=events, flags=faults.flags(12), then=('HELD', 'ALIGN')
    )
    w.until_state('HELD')
    stands_still(moving, 0.2)
    faults.add(
        12,
        'the policy gives nothing but NaN',
        measured=str(reaction),
        measured_s=(w.events[events].monotonic_ns - plan_end_ns(moving)) / NS,
        bound_s=2 * DT_S,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_13_policy_jumps(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.say(policies.JUMP)
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(13))
    report = moving.audit()
    faults.add(
        13,
        f'the policy jumps by {policies.JUMP_RAD:g} rad',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        bound_s=HORIZON_S + DT_S,
        code=reaction.code,
        state=w.state,
        report=report,
    )


@undisturbed
def test_row_13_policy_rushes_into_a_limit(moving, faults):
    w = moving.witness
    moving.say(policies.RUSH)
    w.until(lambda: abs(w.wire.commands[-1].positions[0][5]) > 3.0, 'joint_6 at its limit')
    w.watch(1.0)
    report, state = moving.audit(), w.state
    # Back to where the policy belongs.
    w.ask('controller/stop')
    moving.say(policies.SCENES[0])
    w.until_state('READY')
    moving.reset()
    assert report.velocity_ratio > 0.9, 'the policy was not fast enough to test anything'
    faults.add(
        13,
        'the policy rushes into a position limit',
        measured=f'at most {report.velocity_ratio:.3f} of the velocity limit',
        state=state,
        report=report,
    )


@undisturbed
def test_row_14_wrong_dimensions(moving, faults):
    w = moving.witness
    events = w.mark()
    republish(moving, names=lambda names: names[:-1])
    w.until(lambda: w.status.chunks_rejected > 0, 'the rejection')
    w.watch(0.3)
    goes_on(moving, events)
    at_ns = w.now_ns()
    republish(moving, count=3, steps=lambda steps: steps - 1)
    reaction = stop_after(
        moving, at_ns, events=events, flags=faults.flags(14), then=('FAULT', 'HELD')
    )
    report = moving.audit()
    faults.add(
        14,
        'one chunk with too few names, then three with too few steps',
        measured=str(reaction),
        code=reaction.code,
        state=w.state,
        report=report,
    )


@undisturbed
def test_row_15_slow_inference(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.say(policies.THINK_LONG)
    braking = w.until_event('BRAKING', start=events)
    end_ns = plan_end_ns(moving)
    moving.say(policies.SCENES[0])
    reaction = stop_after(
        moving, at_ns, events=events, flags=faults.flags(15), then=('ALIGN', 'HELD')
    )
    w.until_state('AUTO', 'HELD')
    assert w.transitions(events)[1:] == ['ALIGN [RECOVERED]', 'AUTO [ALIGNED]'], w.tell()
    report = moving.audit()
    late_s = (braking.monotonic_ns - end_ns) / NS
    after = ', '.join(w.transitions(events)[1:])
    faults.add(
        15,
        f'inference takes {policies.THINK_S:g} s, a chunk lasts {HORIZON_S:.2f} s; '
        'time counts from the end of the plan on',
        measured=f'{reaction.code}, at rest {reaction.brake_s * 1e3:.0f} ms later; then {after}',
        measured_s=late_s,
        code=reaction.code,
        state=w.state,
        report=report,
    )


@undisturbed
def test_row_16_inference_dies(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.kill('inference')
    reaction = stop_after(
        moving, at_ns, events=events, flags=faults.flags(16), then=('HELD', 'ALIGN')
    )
    w.until_state('HELD')
    stands_still(moving, 0.3)
    # A new inference process serves again; the robot waits for the operator.
    moving.restart('inference')
    assert stands_still(moving, 1.0).state == 'HELD'
    moving.auto()
    faults.add(
        16,
        'kill -9, another process takes its place, resume',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        bound_s=HORIZON_S + DT_S,
        code=reaction.code,
        state='HELD',
        report=moving.audit(),
    )


@undisturbed
def test_row_17_inference_hangs(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.suspend('inference')
    reaction = stop_after(
        moving, at_ns, events=events, flags=faults.flags(17), then=('HELD', 'ALIGN')
    )
    w.until_state('HELD')
    moving.resume('inference')
    state = stands_still(moving, 1.0).state
    moving.auto()
    faults.add(
        17,
        'SIGSTOP, later SIGCONT, resume',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        bound_s=HORIZON_S + DT_S,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_18_policy_raises(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.say(policies.RAISE)
    flags = faults.flags(18)
    reaction = stop_after(
        moving, at_ns, events=events, flags=flags, then=('FAULT', 'HELD', 'ALIGN')
    )
    w.until_state('FAULT')
    code = w.events[-1].code
    assert code == 'POLICY_FAILED', w.transitions(events)
    assert 'CPUExecutionProvider failed' in w.events[-1].text
    assert w.policy.state == w.policy.STATE_BROKEN
    assert not w.call('controller/start', trigger()).success
    moving.say(policies.SCENES[0])
    state = stands_still(moving, 0.5).state
    assert state == 'FAULT', 'a policy that is well again moves nothing by itself'
    assert 'CPUExecutionProvider failed' in moving.log('inference')
    assert moving.log('inference').count('given up: ') >= 1
    w.ask('controller/reset')
    moving.auto()
    faults.add(
        18,
        'ONNX Runtime raises in every inference, also with a new session; reset, start',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        bound_s=HORIZON_S + DT_S,
        code=code,
        state=state,
        report=moving.audit(),
    )


def raise_once(live):
    """Let the policy raise until its session is being made anew; return the index of events."""
    w = live.witness
    for _ in range(ATTEMPTS):
        events, before = w.mark(), live.log('inference').count('Provider failed')
        live.say(policies.RAISE)
        raised = lambda n=before: live.log('inference').count('Provider failed') > n  # noqa: E731
        w.until(raised, 'the first failure')
        live.say(policies.SCENES[0])
        w.until(lambda: 'made anew' in w.policy.message, 'the new session')
        w.watch(0.5)
        w.until_state('AUTO', 'HELD', 'FAULT')
        if w.state != 'FAULT':
            return events
        # The new session was asked before the cause was gone: that is the other test.
        assert w.events[-1].code == 'POLICY_FAILED', w.tell()
        live.calm()
        live.auto()
    raise AssertionError('the new session was always too quick')


@undisturbed
def test_row_18_policy_raises_until_its_session_is_made_anew(moving, faults):
    w = moving.witness
    policy_id = w.policy.policy_id
    events = raise_once(moving)
    w.until(lambda: w.policy.state == w.policy.STATE_READY, 'the new session')
    assert w.policy.policy_id == policy_id
    told, state = w.transitions(events), w.state
    moving.auto_again()
    w.watch(0.5)
    faults.add(
        18,
        'ONNX Runtime raises until a new session takes over',
        measured=f'then {", ".join(told)}' if told else 'the old plan lasts until then',
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_20_hot_swap_to_another_shape_is_refused(moving, faults, orbit):
    w = moving.witness
    # Beside the present model: files from elsewhere are refused before they are looked at.
    other = policies.orbit(
        orbit.with_name('other.onnx'), joints=[f'axis_{k}' for k in range(len(policies.JOINTS))]
    )
    events, policy_id = w.mark(), w.policy.policy_id
    refused = w.try_parameters('inference', {'model': str(other)})
    assert 'axis_0' in refused and 'joint_1' in refused, refused
    refused = w.try_parameters('inference', {'model': str(orbit.with_name('nothing.onnx'))})
    assert 'nothing.onnx' in refused
    w.watch(1.0)
    goes_on(moving, events)
    assert w.policy.policy_id == policy_id
    faults.add(
        20,
        'model of other joints, then a missing file',
        measured='refused with the reason, the motion goes on',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_24_chunks_of_an_older_epoch_are_void(moving, faults):
    w = moving.witness
    old = copy.deepcopy(w.chunks[-1])
    w.ask('controller/stop')
    w.until_state('READY')
    moving.auto()
    events = w.mark()
    reach = max(abs(c.positions[0][0]) for c in w.wire.commands)
    # It claims to be new and leads far away; only its epoch betrays it.
    for k in range(20):
        stale = copy.deepcopy(old)
        stale.sequence += 10_000 + k
        stale.header.stamp = w.node.get_clock().now().to_msg()
        stale.values = [value + 0.5 for value in stale.values]
        w.chunk_publisher.publish(stale)
        w.ticks(3)
    goes_on(moving, events)
    assert max(abs(c.positions[0][0]) for c in w.wire.commands) < reach + 0.1
    faults.add(
        24,
        'chunks of the epoch before the restart, with fresh stamps',
        measured='ignored',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_07_repeated_and_reordered_chunks(moving, faults):
    w = moving.witness
    events, rejected = w.mark(), w.status.chunks_rejected
    for _ in range(10):
        for msg in (w.chunks[-1], w.chunks[-3], w.chunks[-1]):
            w.chunk_publisher.publish(msg)
        w.ticks(5)
    goes_on(moving, events)
    assert w.status.chunks_rejected == rejected
    faults.add(
        7,
        'chunks twice and in another order',
        measured='no effect',
        state=w.state,
        report=moving.audit(),
    )


def test_plan_end_is_known(moving):
    w = moving.witness
    end_ns = plan_end_ns(moving) + clock_offset_ns()
    newest = stamp_ns(w.chunks[-1].header.stamp)
    assert 0.0 < (end_ns - newest) / NS <= HORIZON_S + DT_S
