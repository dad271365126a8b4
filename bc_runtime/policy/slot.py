# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicySlot: does what `PolicyExchange` decides, with sessions and threads.

It loads a candidate in a thread of its own, swaps between two inferences, and lets another thread
drop the sessions that are not needed any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import logging
import queue
import threading
import time

from bc_runtime.policy.base import Inference, Policy, Prefix, Tensors
from bc_runtime.policy.errors import NoPolicy
from bc_runtime.policy.exchange import ExchangeStatus, Job, PolicyExchange, SlotState
from bc_runtime.spec.errors import BcError
from bc_runtime.spec.policy_spec import PolicySpec

_log = logging.getLogger(__name__)

#: How long `close` waits for an inference, and for the last policy to be dropped [s].
CLOSE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """Facts of a policy that may be kept and passed on; they do not hold its session alive.

    Attributes:
        generation: Counts the policies of a slot, from 1.
        requested: What the user asked for.
        load_s: How long loading and testing it took [s].
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
    load_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """State of the slot at one moment.

    Attributes:
        state: Of the last candidate.
        requested: What was asked for last.
        reason: Why the last candidate failed, or why the active policy is broken; else empty.
        active: The policy in charge; None before the first swap.
        remark: What to tell people about a change that goes well.
    """

    state: SlotState
    requested: str
    reason: str
    active: PolicyFacts | None
    remark: str = ''


@dataclass(slots=True)
class _Session:
    policy: Policy
    load_s: float


class PolicySlot:
    """Holds the policy in charge, at most one candidate, and what a rollback goes to.

    Usable from any thread. `infer` and `swap` exclude each other; nothing else waits for an
    inference.

    Args:
        on_change: Called after every change of state, in their order, from a thread that made one.
        keep_before: See `PolicyExchange`.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[SlotStatus], None] | None = None,
        keep_before: bool = False,
    ) -> None:
        self._on_change = on_change
        self._use = threading.Lock()  # held during an inference
        self._telling = threading.RLock()  # held while changes are told
        self._state = threading.Condition()  # guards everything below; held for moments only
        self._exchange = PolicyExchange(keep_before=keep_before)
        self._sessions: dict[int, _Session] = {}  # by ticket
        self._policy: Policy | None = None
        self._active: PolicyFacts | None = None
        self._untold: deque[SlotStatus] = deque()
        self._retired: queue.SimpleQueue[list[_Session] | None] = queue.SimpleQueue()
        self._undertaker: threading.Thread | None = None

    @property
    def status(self) -> SlotStatus:
        """State, last request and the policy in charge."""
        with self._state:
            return self._told(self._exchange.status)

    @property
    def active(self) -> PolicyFacts | None:
        """The policy in charge, or None."""
        with self._state:
            return self._active

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

        def load() -> Policy:
            policy = loader()
            if check is not None:
                check(policy)
            return policy

        with self._state:
            job = self._exchange.request(requested)
            stale = self._settle()
        self._finish(stale)
        self._start(job, load)

    def rollback(self, loader: Callable[[str], Policy]) -> str:
        """Go back to the policy before; its session is taken if it is still there.

        Args:
            loader: Returns what was asked for under a name, as for `load`.

        Returns:
            What was asked for to get that policy.

        Raises:
            SlotBusy: another candidate is being loaded.
            NoPolicy: there was no policy before this one.
        """
        with self._state:
            away = self._active.spec.name if self._active is not None else 'the present policy'
            job = self._exchange.rollback(away)
            requested = self._exchange.status.requested
            stale = self._settle()
        self._finish(stale)
        if job is not None:
            self._start(job, lambda: loader(requested))
        return requested

    def raised(self, policy: PolicyFacts, error: BcError, loader: Callable[[str], Policy]) -> None:
        """Take that an inference of a policy raised; its session is made anew, once.

        Args:
            policy: Facts of the one that raised.
            error: What it raised.
            loader: As for `rollback`.
        """
        with self._state:
            job = self._exchange.raised(policy.generation, str(error))
            stale = self._settle()
        self._finish(stale)
        if job is not None:
            self._start(job, lambda: loader(policy.requested))

    def succeeded(self, policy: PolicyFacts) -> None:
        """Take that an inference of this policy gave a chunk."""
        with self._state:
            self._exchange.succeeded(policy.generation)

    def begin_anew(self) -> None:
        """Take that somebody has started the robot again: another retry is allowed."""
        with self._state:
            self._exchange.begin_anew()

    def executed(self, policy_id: str, sequence: int) -> None:
        """Take that the robot executes this chunk; see `PolicyExchange.executed`."""
        with self._state:
            self._exchange.executed(policy_id, sequence)
            stale = self._settle()
        self._finish(stale)

    def swap(self, *, chunks: int = 0) -> PolicyFacts | None:
        """Put a READY candidate in charge, between two inferences.

        Args:
            chunks: How many chunks were made until now.

        Returns:
            Facts of the new policy, or None if there is nothing to take.
        """
        if self._exchange.candidate is None:  # the common case, once per inference
            return None
        with self._use, self._state:
            session = self._exchange.take(chunks=chunks)
            if session is None:
                return None
            self._policy = self._sessions[session.ticket].policy
            stale = self._settle()
            facts = self._active
        self._finish(stale)
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
            self._state.wait_for(
                lambda: self._exchange.status.state is not SlotState.LOADING, timeout_s
            )
        return self.status

    def close(self) -> None:
        """Drop every policy; a candidate that is still loading is dropped when it arrives."""
        idle = self._use.acquire(timeout=CLOSE_TIMEOUT_S)
        try:
            with self._state:
                # An inference that hangs keeps its policy.
                self._exchange.close(keep_active=not idle)
                if idle:
                    self._policy = self._active = None
                stale = self._settle()
        finally:
            if idle:
                self._use.release()
        self._finish(stale)
        with self._state:
            undertaker, self._undertaker = self._undertaker, None
        if undertaker is not None:
            self._retired.put(None)
            undertaker.join(timeout=CLOSE_TIMEOUT_S)

    # Within -----------------------------------------------------------------------------------

    def _start(self, job: Job, loader: Callable[[], Policy]) -> None:
        threading.Thread(
            target=self._load, args=(job.ticket, loader), name='policy-load', daemon=True
        ).start()

    def _load(self, ticket: int, loader: Callable[[], Policy]) -> None:
        began_s = time.monotonic()
        candidate: Policy | None = None
        reason = ''
        try:
            candidate = loader()
        except BcError as error:
            reason = str(error)
        # A candidate must never take the node down, nor end this thread (SystemExit) without its
        # being told: the exchange would wait for it for ever.
        except BaseException as error:  # noqa: BLE001
            reason = f'{type(error).__name__}: {error}'
            _log.error('unexpected error while loading a policy', exc_info=True)
        with self._state:
            if candidate is None:
                self._exchange.failed(ticket, reason)
            elif self._exchange.loaded(ticket, candidate.policy_id):
                self._sessions[ticket] = _Session(candidate, time.monotonic() - began_s)
            stale = self._settle()
        del candidate
        self._finish(stale)

    def _settle(self) -> list[_Session]:
        """Take up what the exchange has decided; return the sessions that are not needed."""
        changes, held = self._exchange.changes, self._exchange.held
        while changes:
            self._untold.append(self._told(changes.popleft()))
        self._state.notify_all()
        return [self._sessions.pop(ticket) for ticket in set(self._sessions) - held]

    def _finish(self, stale: list[_Session]) -> None:
        """Drop sessions and tell changes; holds no lock that an inference needs."""
        if stale:
            self._retire(stale)
        with self._telling:
            while self._untold:
                status = self._untold.popleft()
                if self._on_change is not None:
                    self._on_change(status)

    def _told(self, status: ExchangeStatus) -> SlotStatus:
        if status.active is None:
            self._active = None
        elif self._active is None or self._active.generation != status.generation:
            session = self._sessions[status.active.ticket]
            self._active = _facts(
                session, generation=status.generation, requested=status.active.requested
            )
        return SlotStatus(
            state=status.state,
            requested=status.requested,
            reason=status.reason,
            active=self._active,
            remark=status.remark,
        )

    def _retire(self, box: list[_Session]) -> None:
        # Destroying a session of 1 GB held the interpreter for 85 ms (measured); the thread that
        # infers must not be the one that lets go last. So the list holds the only reference.
        with self._state:
            if self._undertaker is None:
                self._undertaker = threading.Thread(
                    target=_bury, args=(self._retired,), name='policy-drop', daemon=True
                )
                self._undertaker.start()
        self._retired.put(box)

    def _no_policy(self) -> NoPolicy:
        status = self.status
        about = f' ({status.requested!r}: {status.reason or status.state.value})'
        return NoPolicy(
            'no policy is in charge' + (about if status.requested else '; load one first')
        )


def _bury(retired: queue.SimpleQueue[list[_Session] | None]) -> None:
    while (box := retired.get()) is not None:
        box.clear()


def _facts(session: _Session, *, generation: int, requested: str) -> PolicyFacts:
    policy = session.policy
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
        load_s=session.load_s,
    )
