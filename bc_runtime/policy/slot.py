# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Exchange the policy of a running node: load beside it, switch between two inferences.

```
load() ──> LOADING ──ok──> READY ──swap()──> IDLE, generation + 1
              └──error──> FAILED (the reason is kept; the policy in charge goes on)
```
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
import logging
import queue
import threading

from bc_runtime.policy.base import Inference, Policy, Prefix, Tensors
from bc_runtime.policy.errors import NoPolicy, SlotBusy
from bc_runtime.spec.errors import BcError
from bc_runtime.spec.policy_spec import PolicySpec

_log = logging.getLogger(__name__)

#: How long `close` waits for an inference, and for the last policy to be dropped [s].
CLOSE_TIMEOUT_S = 1.0


class SlotState(StrEnum):
    """What happens to the candidate."""

    IDLE = 'idle'
    LOADING = 'loading'
    READY = 'ready'
    FAILED = 'failed'


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """Facts of a policy that may be kept and passed on; they do not hold its session alive.

    Attributes:
        generation: Counts the policies of a slot, from 1.
        requested: What the user asked for.
    """

    generation: int
    requested: str
    spec: PolicySpec
    policy_id: str
    backend: str
    provider: str
    path: str
    warmup_s: float
    self_test_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """State of the slot at one moment.

    Attributes:
        state: Of the last candidate.
        requested: What was asked for last.
        reason: Why the last candidate failed; empty unless `state` is FAILED.
        active: The policy in charge; None before the first swap.
    """

    state: SlotState
    requested: str
    reason: str
    active: PolicyFacts | None


class PolicySlot:
    """Holds the policy in charge and at most one candidate.

    Usable from any thread. `infer` and `swap` exclude each other; `load`, `reset` and `status`
    never wait for an inference.

    Args:
        on_change: Called after every change of state, from the thread that made it.
    """

    def __init__(self, *, on_change: Callable[[SlotStatus], None] | None = None) -> None:
        self._on_change = on_change
        self._use = threading.Lock()  # held during an inference
        self._state = threading.Condition()  # guards everything below; held for moments only
        self._policy: Policy | None = None
        self._active: PolicyFacts | None = None
        self._candidate: Policy | None = None
        self._status = SlotState.IDLE
        self._requested = ''
        self._reason = ''
        self._ticket = 0
        self._retired: queue.SimpleQueue[list[Policy] | None] = queue.SimpleQueue()
        self._undertaker: threading.Thread | None = None

    @property
    def status(self) -> SlotStatus:
        """State, last request and the policy in charge."""
        with self._state:
            return SlotStatus(
                state=self._status,
                requested=self._requested,
                reason=self._reason,
                active=self._active,
            )

    @property
    def active(self) -> PolicyFacts | None:
        """The policy in charge, or None."""
        return self.status.active

    def load(
        self,
        loader: Callable[[], Policy],
        *,
        requested: str,
        check: Callable[[Policy], None] | None = None,
    ) -> None:
        """Load a candidate in a background thread; a READY one that was not taken is replaced.

        Args:
            loader: Returns a proven, warm policy, e.g. a call of `load_policy`.
            requested: What the user asked for, for the status.
            check: Raises a BcError where the candidate does not fit the robot.

        Raises:
            SlotBusy: another candidate is being loaded.
        """
        with self._state:
            if self._status is SlotState.LOADING:
                raise SlotBusy(
                    f'{self._requested!r} is still being loaded; ask for {requested!r} again when '
                    'it is done'
                )
            stale = [self._candidate] if self._candidate is not None else []
            self._candidate = None
            self._ticket += 1
            ticket = self._ticket
            self._status, self._requested, self._reason = SlotState.LOADING, requested, ''
        self._retire(stale)
        self._changed()
        threading.Thread(
            target=self._load, args=(ticket, loader, check), name='policy-load', daemon=True
        ).start()

    def swap(self) -> PolicyFacts | None:
        """Put a READY candidate in charge, between two inferences.

        Returns:
            Facts of the new policy, or None if there is nothing to take.
        """
        if self._status is not SlotState.READY:  # the common case, once per inference
            return None
        with self._use:
            with self._state:
                if self._status is not SlotState.READY or self._candidate is None:
                    return None
                old = [self._policy] if self._policy is not None else []
                self._policy, self._candidate = self._candidate, None
                generation = 1 if self._active is None else self._active.generation + 1
                facts = _facts(self._policy, generation=generation, requested=self._requested)
                self._active, self._status = facts, SlotState.IDLE
        self._retire(old)
        self._changed()
        return facts

    def infer(
        self, tensors: Tensors, *, prefix: Prefix | None = None
    ) -> tuple[Inference, PolicyFacts]:
        """Run the policy in charge.

        Returns:
            The chunk and the facts of the very policy that made it.

        Raises:
            NoPolicy: none is in charge yet.
            PolicyError: see `Policy.infer`.
        """
        with self._use:
            facts = self._active
            # No local reference: it would outlive the lock, and with it perhaps a swap.
            if self._policy is None or facts is None:
                raise self._no_policy()
            return self._policy.infer(tensors, prefix=prefix), facts

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode with the policy in charge, if there is one."""
        with self._state:
            if self._policy is not None:
                self._policy.reset(seed=seed)

    def wait(self, timeout_s: float | None = None) -> SlotStatus:
        """Wait until nothing is being loaded, or the time is up, and return the status."""
        with self._state:
            self._state.wait_for(lambda: self._status is not SlotState.LOADING, timeout_s)
        return self.status

    def close(self) -> None:
        """Drop every policy; a candidate that is still loading is dropped when it arrives."""
        idle = self._use.acquire(timeout=CLOSE_TIMEOUT_S)
        try:
            with self._state:
                self._ticket += 1
                self._candidate = None
                if idle:  # else the inference that hangs keeps its policy
                    self._policy = self._active = None
                self._status = SlotState.IDLE
                self._state.notify_all()
                undertaker, self._undertaker = self._undertaker, None
        finally:
            if idle:
                self._use.release()
        if undertaker is not None:
            self._retired.put(None)
            undertaker.join(timeout=CLOSE_TIMEOUT_S)

    def _load(
        self,
        ticket: int,
        loader: Callable[[], Policy],
        check: Callable[[Policy], None] | None,
    ) -> None:
        candidate: Policy | None = None
        reason = ''
        try:
            candidate = loader()
            if check is not None:
                check(candidate)
        except BcError as error:
            candidate, reason = None, str(error)
        # A candidate must never take the node down, whatever is wrong with it.
        except Exception as error:  # noqa: BLE001
            candidate, reason = None, f'{type(error).__name__}: {error}'
            _log.error('unexpected error while loading a policy', exc_info=True)
        with self._state:
            if ticket != self._ticket:  # closed meanwhile
                return
            self._candidate, self._reason = candidate, reason
            self._status = SlotState.READY if candidate is not None else SlotState.FAILED
            self._state.notify_all()
        del candidate
        self._changed()

    def _retire(self, box: list[Policy]) -> None:
        # Destroying a session of 1 GB held the interpreter for 85 ms (measured); the thread that
        # infers must not be the one that lets go last. So the list holds the only reference.
        if not box:
            return
        with self._state:
            if self._undertaker is None:
                self._undertaker = threading.Thread(
                    target=_bury, args=(self._retired,), name='policy-drop', daemon=True
                )
                self._undertaker.start()
        self._retired.put(box)

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self.status)

    def _no_policy(self) -> NoPolicy:
        status = self.status
        about = f' ({status.requested!r}: {status.reason or status.state.value})'
        return NoPolicy(
            'no policy is in charge' + (about if status.requested else '; load one first')
        )


def _bury(retired: queue.SimpleQueue[list[Policy] | None]) -> None:
    while (box := retired.get()) is not None:
        box.clear()


def _facts(policy: Policy, *, generation: int, requested: str) -> PolicyFacts:
    return PolicyFacts(
        generation=generation,
        requested=requested,
        spec=policy.spec,
        policy_id=policy.policy_id,
        backend=policy.backend,
        provider=policy.provider,
        path=policy.path,
        warmup_s=policy.warmup_s,
        self_test_error=policy.self_test_error,
    )
