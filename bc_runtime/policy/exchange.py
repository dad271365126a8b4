# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicyExchange: every rule about which policy is active, as a state machine without threads.

```
 request ─┐                    ┌─failed──> FAILED (a swap or a rollback; the active one continues)
 rebuild ─┼─> LOADING ─────────┤        └> BROKEN (a rebuild; nothing more is tried)
 rollback ┘     │              └─loaded─> READY ──take──> IDLE, generation + 1
    └───────────┴─ the session is still there ──┘
```

* One policy is active. One candidate at most is loaded beside it, and takes over between two
  inferences. Whatever goes wrong with the candidate, the active policy continues.
* A policy that raises gets a new session once (`OneRetry`); a new session is a swap as well.
* A rollback goes to the last policy that was active before. A policy that has had no chunk
  executed is never what a rollback goes to if there is another one, and one that was sent away
  comes back only by a request.

Sessions are known by ticket here. The caller (`PolicySlot`) keeps them, drops those that are not
`held`, does the jobs, and reports what became of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum

from bc_runtime.policy.errors import NoPolicy, SlotBusy
from bc_runtime.policy.retry import OneRetry, Remedy


class SlotState(StrEnum):
    """What happens to the candidate."""

    IDLE = 'idle'
    LOADING = 'loading'
    READY = 'ready'
    FAILED = 'failed'
    BROKEN = 'broken'
    """The active policy raises, and a new session does not help."""


class Purpose(StrEnum):
    """Why a policy is loaded."""

    SWAP = 'swap'
    REBUILD = 'rebuild'
    ROLLBACK = 'rollback'


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A policy that was loaded.

    Attributes:
        ticket: Of the job that loaded it; names the session.
        requested: What the user asked for.
    """

    ticket: int
    requested: str
    policy_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to load.

    Attributes:
        expected_id: The id that the policy must have; empty: any.
        remark: What to tell people about it.
    """

    ticket: int
    requested: str
    purpose: Purpose
    expected_id: str = ''
    remark: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStatus:
    """State at one moment.

    Attributes:
        state: Of the last candidate.
        requested: What was asked for last.
        reason: Why the last candidate failed, or why the active policy is broken.
        remark: What to tell people about a change that goes well.
        active: The active policy; None before the first one.
        generation: Counts the policies that became active, from 1.
    """

    state: SlotState = SlotState.IDLE
    requested: str = ''
    reason: str = ''
    remark: str = ''
    active: Session | None = None
    generation: int = 0


class PolicyExchange:
    """See the module's docstring. Not thread-safe; nothing here waits.

    Args:
        keep_before: Keep the session of the policy before until the active one has proven itself,
            so that a rollback needs no load.
    """

    def __init__(self, *, keep_before: bool = False) -> None:
        self.changes: deque[ExchangeStatus] = deque()
        """Every change, oldest first; the caller takes them out."""
        self._keep_before = keep_before
        self._status = ExchangeStatus()
        self._tickets = 0
        self._job: Job | None = None
        self._candidate: tuple[Session, Purpose] | None = None
        self._before: Session | None = None
        self._before_held = False
        self._proven = False
        self._first_sequence = 0
        self._retry = OneRetry()

    # What is so ----------------------------------------------------------------------------

    @property
    def status(self) -> ExchangeStatus:
        """State, last request and the active policy."""
        return self._status

    @property
    def before(self) -> Session | None:
        """What a rollback goes to."""
        return self._before

    @property
    def candidate(self) -> Session | None:
        """The policy that takes over next; None while there is none or it is being loaded."""
        return None if self._candidate is None else self._candidate[0]

    @property
    def held(self) -> frozenset[int]:
        """Tickets of the sessions that are needed; every other one may be dropped."""
        before = self._before if self._before_held else None
        sessions = (self._status.active, self.candidate, before)
        return frozenset(each.ticket for each in sessions if each is not None)

    # What is asked for ---------------------------------------------------------------------

    def request(self, requested: str) -> Job:
        """Begin to load a policy; a READY candidate that was not taken is replaced.

        Raises:
            SlotBusy: another candidate is being loaded.
        """
        self._refuse_while_loading(requested)
        self._retry.begin_anew()
        return self._begin(requested, Purpose.SWAP)

    def rollback(self, sent_away: str) -> Job | None:
        """Begin to go back to the policy before.

        Args:
            sent_away: Name of the active policy, for people.

        Returns:
            What to load; None where the session is still there and takes over next.

        Raises:
            SlotBusy: another candidate is being loaded.
            NoPolicy: there was no policy before this one.
        """
        self._refuse_while_loading('the policy before')
        if self._candidate is not None and self._candidate[1] is Purpose.ROLLBACK:
            return None  # asked for twice
        before = self._before
        if before is None:
            raise NoPolicy('there was no other policy before this one')
        remark = f'rolled back to {before.requested}: {sent_away} was sent away'
        if not self._before_held:
            return self._begin(
                before.requested, Purpose.ROLLBACK, expected_id=before.policy_id, remark=remark
            )
        self._candidate = before, Purpose.ROLLBACK
        self._change(SlotState.READY, requested=before.requested, remark=remark)
        return None

    def begin_anew(self) -> None:
        """Allow another retry: somebody has started the robot again."""
        self._retry.begin_anew()

    # What becomes of a candidate -------------------------------------------------------------

    def loaded(self, ticket: int, policy_id: str) -> bool:
        """Take that a job is done; return whether the session is needed."""
        job = self._job
        if job is None or job.ticket != ticket:
            return False  # closed or done meanwhile
        if job.expected_id and policy_id != job.expected_id:
            changed = f'{job.requested} has changed; set the parameter model to load it'
            self.failed(ticket, changed)
            return False
        self._job = None
        session = Session(ticket=ticket, requested=job.requested, policy_id=policy_id)
        self._candidate = session, job.purpose
        self._change(SlotState.READY, remark=job.remark)
        return True

    def failed(self, ticket: int, reason: str) -> None:
        """Take that a job has failed."""
        job = self._job
        if job is None or job.ticket != ticket:
            return
        self._job = None
        if job.purpose is Purpose.REBUILD:
            self._retry.cannot_rebuild()
            self._change(SlotState.BROKEN, reason=f'no new session: {reason}')
        else:
            self._change(SlotState.FAILED, reason=reason)

    def take(self, *, chunks: int) -> Session | None:
        """Make a READY candidate active, between two inferences.

        Args:
            chunks: How many chunks were made until now.

        Returns:
            The session that is active from now on; None if there is nothing to take.
        """
        if self._candidate is None:
            return None
        (session, purpose), self._candidate = self._candidate, None
        active = self._status.active
        self._remember(session, purpose)
        # A new session of the same policy, made anew or asked for twice, takes nothing back.
        if active is None or active.policy_id != session.policy_id:
            # Where nobody judges the chunks, there is nothing to prove.
            self._proven, self._first_sequence = not self._keep_before, chunks + 1
        generation = self._status.generation + 1
        self._change(SlotState.IDLE, active=session, generation=generation)
        return session

    def close(self, *, keep_active: bool = False) -> None:
        """Forget every policy; what is being loaded comes to nothing.

        Args:
            keep_active: An inference that does not return still uses the active one.
        """
        self._job = self._candidate = self._before = None
        self._before_held = False
        active = self._status.active if keep_active else None
        self._status = replace(
            self._status, state=SlotState.IDLE, reason='', remark='', active=active
        )

    # What becomes of the active policy --------------------------------------------------------

    def succeeded(self, generation: int) -> None:
        """Take an inference of this generation that gave a chunk."""
        self._retry.succeeded(generation)

    def raised(self, generation: int, error: str) -> Job | None:
        """Take an inference of this generation that raised; return what to load now."""
        active = self._status.active
        if active is None or generation != self._status.generation:
            return None  # another policy is active by now
        loading = self._job is not None or self._candidate is not None
        remedy = self._retry.failed(generation, loading=loading)
        if remedy is Remedy.GIVE_UP:
            self._change(SlotState.BROKEN, reason=f'again, with a new session: {error}')
        if remedy is not Remedy.REBUILD:
            return None
        return self._begin(
            active.requested,
            Purpose.REBUILD,
            expected_id=active.policy_id,
            remark=f'the session is made anew: {error}',
        )

    def executed(self, policy_id: str, sequence: int) -> None:
        """Take that the robot executes this chunk: its policy has proven itself."""
        active = self._status.active
        mine = active is not None and active.policy_id == policy_id
        if mine and sequence >= self._first_sequence:
            self._proven = True
            self._before_held = False

    # Within -----------------------------------------------------------------------------------

    def _refuse_while_loading(self, requested: str) -> None:
        if self._job is not None:
            raise SlotBusy(
                f'{self._job.requested!r} is still being loaded; ask for {requested!r} again when '
                'it is done'
            )

    def _begin(
        self, requested: str, purpose: Purpose, *, expected_id: str = '', remark: str = ''
    ) -> Job:
        self._tickets += 1
        self._candidate = None
        self._job = Job(
            ticket=self._tickets,
            requested=requested,
            purpose=purpose,
            expected_id=expected_id,
            remark=remark,
        )
        self._change(SlotState.LOADING, requested=requested, remark=remark)
        return self._job

    def _remember(self, new: Session, purpose: Purpose) -> None:
        """Decide what a rollback goes to once `new` is active."""
        active, before = self._status.active, self._before
        if active is None or active.policy_id == new.policy_id:
            return  # the same policy once more has no other policy before it than it had
        if purpose is not Purpose.ROLLBACK and (self._proven or before is None):
            self._before, self._before_held = active, self._keep_before
        elif before is not None and before.policy_id == new.policy_id:
            self._before, self._before_held = None, False

    def _change(
        self,
        state: SlotState,
        *,
        requested: str | None = None,
        reason: str = '',
        remark: str | None = None,
        active: Session | None = None,
        generation: int | None = None,
    ) -> None:
        old = self._status
        self._status = ExchangeStatus(
            state=state,
            requested=old.requested if requested is None else requested,
            reason=reason,
            remark=old.remark if remark is None else remark,
            active=active or old.active,
            generation=old.generation if generation is None else generation,
        )
        self.changes.append(self._status)
