# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Exchange of the policy in charge: nothing is lost, nothing stops, nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
import gc
from pathlib import Path
import threading
from typing import Any
import weakref

import numpy as np
import pytest

from bc_runtime.policy import (
    Inference,
    NoPolicy,
    PolicySlot,
    SelfTestFailed,
    SlotBusy,
    SlotState,
    SlotStatus,
    load_policy,
)
from bc_runtime.spec import BindingError, PolicySpec

Build = Callable[..., Path]
TIMEOUT_S = 30.0


class FakePolicy:
    """Gives chunks full of its own number, and notices two inferences at once."""

    backend = 'fake'
    provider = 'none'
    path = 'nowhere'
    warmup_s = 0.001
    self_test_error = 0.0

    def __init__(self, number: int, spec: PolicySpec) -> None:
        self.number = number
        self.spec = spec
        self.policy_id = f'{number:064x}'
        self.seeds: list[int | None] = []
        self.overlaps = 0
        self._running = threading.Lock()

    def infer(self, tensors: Any, *, prefix: Any = None) -> Inference:
        if not self._running.acquire(blocking=False):
            self.overlaps += 1
        else:
            self._running.release()
        with self._running:
            values = np.full((4, 3), self.number, dtype=np.float32)
            return Inference(values=values, inference_ns=1, seed=0, index=0)

    def reset(self, *, seed: int | None = None) -> None:
        self.seeds.append(seed)


@pytest.fixture
def spec(make_spec: Any) -> PolicySpec:
    return PolicySpec.from_dict(make_spec())


@pytest.fixture
def slot() -> Any:
    slot = PolicySlot()
    yield slot
    slot.close()


def put(slot: PolicySlot, policy: FakePolicy) -> None:
    slot.load(lambda: policy, requested=f'policy {policy.number}')
    assert slot.wait(TIMEOUT_S).state is SlotState.READY
    assert slot.swap() is not None


def test_an_empty_slot_says_so(slot: PolicySlot) -> None:
    assert slot.status == SlotStatus(state=SlotState.IDLE, requested='', reason='', active=None)
    assert slot.swap() is None
    slot.reset(seed=1)
    with pytest.raises(NoPolicy, match='no policy is in charge; load one first'):
        slot.infer({})


def test_a_candidate_takes_over_at_the_swap_and_not_before(
    slot: PolicySlot, spec: PolicySpec
) -> None:
    put(slot, FakePolicy(1, spec))
    slot.load(lambda: FakePolicy(2, spec), requested='second')
    assert slot.wait(TIMEOUT_S).state is SlotState.READY
    inference, facts = slot.infer({})
    assert inference.values[0, 0] == 1
    assert facts.generation == 1
    new = slot.swap()
    assert new is not None
    assert (new.generation, new.requested, new.policy_id) == (2, 'second', f'{2:064x}')
    assert slot.infer({})[0].values[0, 0] == 2
    assert slot.status.state is SlotState.IDLE
    assert slot.active == new
    assert slot.swap() is None


def test_a_bad_candidate_costs_nothing_and_the_reason_is_kept(
    slot: PolicySlot, build: Build, state: np.ndarray, make_spec: Any
) -> None:
    good = build('good.onnx', seed=1)
    bad_spec = make_spec(self_test={'seed': 1, 'expected': [0.5] * 12, 'tolerance': 1e-4})
    bad = build('bad.onnx', spec=bad_spec)
    with pytest.raises(SelfTestFailed):
        load_policy(bad)
    slot.load(lambda: load_policy(good), requested='good')
    slot.wait(TIMEOUT_S)
    slot.swap()
    before = slot.infer({'state': state})[0].values
    slot.load(lambda: load_policy(bad), requested='bad')
    status = slot.wait(TIMEOUT_S)
    assert status.state is SlotState.FAILED
    assert status.requested == 'bad'
    assert 'the self-test failed' in status.reason
    assert slot.swap() is None
    assert slot.active is not None
    assert slot.active.requested == 'good'
    np.testing.assert_array_equal(slot.infer({'state': state})[0].values, before)


def test_a_candidate_that_does_not_fit_the_robot_fails(slot: PolicySlot, spec: PolicySpec) -> None:
    def refuse(policy: Any) -> None:
        raise BindingError(f'{policy.spec.name} does not fit')

    slot.load(lambda: FakePolicy(1, spec), requested='x', check=refuse)
    status = slot.wait(TIMEOUT_S)
    assert (status.state, status.reason) == (SlotState.FAILED, 'tiny does not fit')
    with pytest.raises(NoPolicy, match=r"\('x': tiny does not fit\)"):
        slot.infer({})


@pytest.mark.parametrize('error', [ZeroDivisionError, SystemExit])
def test_an_unexpected_error_of_a_loader_is_a_failure_too(
    slot: PolicySlot, error: type[BaseException]
) -> None:
    def explode() -> Any:
        raise error('oops')

    slot.load(explode, requested='x')
    assert slot.wait(TIMEOUT_S).reason == f'{error.__name__}: oops'


def test_one_candidate_at_a_time(slot: PolicySlot, spec: PolicySpec) -> None:
    go_on = threading.Event()

    def slow() -> FakePolicy:
        assert go_on.wait(TIMEOUT_S)
        return FakePolicy(1, spec)

    slot.load(slow, requested='first')
    assert slot.status.state is SlotState.LOADING
    with pytest.raises(SlotBusy, match="'first' is still being loaded; ask for 'second' again"):
        slot.load(lambda: FakePolicy(2, spec), requested='second')
    assert slot.wait(0.0).state is SlotState.LOADING
    go_on.set()
    assert slot.wait(TIMEOUT_S).state is SlotState.READY


def test_a_newer_candidate_replaces_one_that_was_not_taken(
    slot: PolicySlot, spec: PolicySpec
) -> None:
    for number in (1, 2):
        slot.load(lambda number=number: FakePolicy(number, spec), requested=str(number))
        slot.wait(TIMEOUT_S)
    facts = slot.swap()
    assert facts is not None
    assert facts.requested == '2'
    assert slot.infer({})[0].values[0, 0] == 2


def test_reset_goes_to_the_policy_in_charge(slot: PolicySlot, spec: PolicySpec) -> None:
    policy = FakePolicy(1, spec)
    put(slot, policy)
    slot.reset(seed=5)
    assert policy.seeds == [5]


def test_every_change_is_reported(spec: PolicySpec) -> None:
    seen: list[tuple[SlotState, int]] = []
    done = threading.Event()

    def note(status: SlotStatus) -> None:
        seen.append((status.state, status.active.generation if status.active else 0))
        if status.state is SlotState.READY:
            done.set()

    slot = PolicySlot(on_change=note)
    slot.load(lambda: FakePolicy(1, spec), requested='x')
    assert done.wait(TIMEOUT_S)
    slot.swap()
    slot.close()
    assert seen == [(SlotState.LOADING, 0), (SlotState.READY, 0), (SlotState.IDLE, 1)]


def test_swaps_under_concurrent_inference_lose_nothing(slot: PolicySlot, spec: PolicySpec) -> None:
    """Every chunk is of one policy, is labelled with it, and generations only grow."""
    put(slot, FakePolicy(1, spec))
    stop = threading.Event()
    policies = [FakePolicy(number, spec) for number in range(2, 40)]
    results: list[list[tuple[int, int, str]]] = [[], []]
    problems: list[BaseException] = []

    def work(mine: list[tuple[int, int, str]]) -> None:
        try:
            while not stop.is_set():
                slot.swap()
                inference, facts = slot.infer({})
                values = np.unique(inference.values)
                assert len(values) == 1
                mine.append((int(values[0]), facts.generation, facts.policy_id))
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in results]
    for thread in threads:
        thread.start()
    taken = threading.Event()
    slot._on_change = lambda s: taken.set() if s.state is SlotState.IDLE else None  # type: ignore[assignment]
    for policy in policies:
        taken.clear()
        slot.load(lambda policy=policy: policy, requested='next')
        assert taken.wait(TIMEOUT_S)
    stop.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert not problems
    for mine in results:
        for number, generation, policy_id in mine:
            assert number == generation
            assert policy_id == f'{number:064x}'
        assert [g for _, g, _ in mine] == sorted(g for _, g, _ in mine)
    assert max(g for mine in results for _, g, _ in mine) >= 38
    assert sum(policy.overlaps for policy in policies) == 0


def test_the_old_policy_is_dropped_by_another_thread(slot: PolicySlot, spec: PolicySpec) -> None:
    dropped = threading.Event()
    by: list[str] = []

    def note() -> None:
        by.append(threading.current_thread().name)
        dropped.set()

    def make() -> FakePolicy:
        policy = FakePolicy(1, spec)
        weakref.finalize(policy, note)
        return policy

    slot.load(make, requested='old')
    slot.wait(TIMEOUT_S)
    facts = slot.swap()
    _, same = slot.infer({})
    assert same is facts  # facts are kept here and must not hold the policy
    slot.load(lambda: FakePolicy(2, spec), requested='new')
    slot.wait(TIMEOUT_S)
    gc.disable()
    try:
        slot.swap()
        assert dropped.wait(TIMEOUT_S)
    finally:
        gc.enable()
    assert by == ['policy-drop']


def test_close_drops_a_candidate_that_arrives_late(spec: PolicySpec) -> None:
    slot = PolicySlot()
    go_on, dropped = threading.Event(), threading.Event()

    def slow() -> FakePolicy:
        assert go_on.wait(TIMEOUT_S)
        policy = FakePolicy(1, spec)
        weakref.finalize(policy, dropped.set)
        return policy

    slot.load(slow, requested='late')
    slot.close()
    assert slot.wait(TIMEOUT_S).state is SlotState.IDLE
    go_on.set()
    assert dropped.wait(TIMEOUT_S)
    assert slot.swap() is None
    with pytest.raises(NoPolicy):
        slot.infer({})


def test_real_policies_swap_while_inferring(
    slot: PolicySlot, build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    plain, noisy = build('plain.onnx', seed=1), build('noisy.onnx', noise=True, seed=1)
    slot.load(lambda: load_policy(plain), requested='plain')
    slot.wait(TIMEOUT_S)
    slot.swap()
    ready = threading.Event()
    slot._on_change = lambda s: ready.set() if s.state is SlotState.READY else None  # type: ignore[assignment]
    slot.load(lambda: load_policy(noisy), requested='noisy')
    while not ready.is_set():
        inference, _ = slot.infer({'state': state})
        np.testing.assert_allclose(inference.values, expected, atol=1e-6)
    facts = slot.swap()
    assert facts is not None
    assert facts.spec.inputs[-1].name == 'noise'
    assert not np.allclose(slot.infer({'state': state})[0].values, expected, atol=1e-3)


def test_a_swap_waits_for_the_inference_that_runs(slot: PolicySlot, spec: PolicySpec) -> None:
    inside, go_on, swapped = threading.Event(), threading.Event(), threading.Event()

    class Slow(FakePolicy):
        def infer(self, tensors: Any, *, prefix: Any = None) -> Inference:
            inside.set()
            assert go_on.wait(TIMEOUT_S)
            return super().infer(tensors, prefix=prefix)

    put(slot, Slow(1, spec))
    slot.load(lambda: FakePolicy(2, spec), requested='next')
    slot.wait(TIMEOUT_S)
    seen: list[int] = []
    worker = threading.Thread(target=lambda: seen.append(slot.infer({})[1].generation))
    worker.start()
    assert inside.wait(TIMEOUT_S)
    swapper = threading.Thread(target=lambda: (slot.swap(), swapped.set()))
    swapper.start()
    slot.reset(seed=3)  # does not wait
    assert not swapped.wait(0.1)
    go_on.set()
    assert swapped.wait(TIMEOUT_S)
    worker.join(TIMEOUT_S)
    swapper.join(TIMEOUT_S)
    assert seen == [1]
    assert slot.infer({})[1].generation == 2
