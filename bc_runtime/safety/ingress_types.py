# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The words of the chunk checks: what is checked, what a failure does, what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bc_runtime.spec.errors import SafetyError


class ChunkLike(Protocol):
    """The part of `execution.ActionChunk` that is checked."""

    @property
    def stamp_ns(self) -> int:
        """Stamp of the observation [ns, ROS clock]."""

    @property
    def dt_ns(self) -> int:
        """Time between two actions [ns]."""

    @property
    def stamp_index(self) -> int:
        """Index of the action that belongs to the stamp."""

    @property
    def values(self) -> NDArray[np.float32]:
        """Actions, shape (chunk_size, action_dim)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of the dimensions."""

    @property
    def references(self) -> Sequence[str]:
        """References of the dimensions."""

    @property
    def policy_id(self) -> str:
        """Id of the policy."""

    @property
    def sequence(self) -> int:
        """Counts the chunks of one policy process."""

    @property
    def epoch(self) -> int:
        """Epoch of the observation."""

    @property
    def anchor(self) -> Mapping[str, float] | None:
        """Observed state for relative dimensions."""


class Check(StrEnum):
    """The checks; see `bc_runtime.safety.ingress`."""

    FORMAT = 'E1_FORMAT'
    POLICY = 'E1_POLICY'
    FINITE = 'E2_FINITE'
    RANGE = 'E3_RANGE'
    EPOCH = 'E4_EPOCH'
    ORDER = 'E5_ORDER'
    AHEAD = 'E5_AHEAD'
    AGE = 'E6_AGE'
    SPLICE = 'E7_SPLICE'


class OnFailure(StrEnum):
    """What a failed check does."""

    REJECT = 'reject'
    CLIP = 'clip'
    WARN = 'warn'
    OFF = 'off'


class Verdict(StrEnum):
    """What happens to the chunk."""

    ACCEPT = 'accept'
    ACCEPT_CLIPPED = 'accept_clipped'
    REJECT = 'reject'


_CHOICES = {
    Check.RANGE: frozenset(OnFailure),
    Check.ORDER: frozenset({OnFailure.REJECT, OnFailure.WARN}),
    Check.AHEAD: frozenset({OnFailure.REJECT, OnFailure.WARN}),
    Check.AGE: frozenset({OnFailure.REJECT, OnFailure.WARN, OnFailure.OFF}),
    Check.SPLICE: frozenset({OnFailure.REJECT, OnFailure.WARN, OnFailure.OFF}),
}
_DEFAULTS = dict.fromkeys(Check, OnFailure.REJECT) | {Check.RANGE: OnFailure.CLIP}


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressConfig:
    """Parameters of the checks.

    Attributes:
        on_failure: Check -> what a failure does; unnamed ones keep their default (reject; clip for
            the training range).
        range_tolerance: Share of the training range that an action may be outside.
        ahead_max_s: The observation may be stamped so far ahead of now: clocks of two machines
            differ, and simulated time goes on in leaps [s].
        age_margin_s: At least this much of the chunk must lie in the future [s].
        jump_max_s: E7: distance that the velocity limit covers in this time [s].
        in_a_row: So many rejections one after the other raise a flag.
        flag_s: How long a flag stays raised [s].
    """

    on_failure: Mapping[Check, OnFailure] = field(default_factory=dict)
    range_tolerance: float = 0.05
    ahead_max_s: float = 0.1
    age_margin_s: float = 0.0
    jump_max_s: float = 0.5
    in_a_row: int = 3
    flag_s: float = 0.5

    def __post_init__(self) -> None:
        for check, choice in self.on_failure.items():
            allowed = _CHOICES.get(check, frozenset({OnFailure.REJECT}))
            if choice not in allowed:
                raise SafetyError(
                    f'{check} cannot be set to {choice!r}; choices: {", ".join(sorted(allowed))}'
                )
        merged = {**_DEFAULTS, **self.on_failure}
        object.__setattr__(self, 'on_failure', MappingProxyType(merged))


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressContext:
    """What a chunk is compared with.

    Attributes:
        now_ns: ROS time [ns], the clock of the stamps.
        epoch: Present epoch.
        epoch_start_ns: ROS time at which the epoch began [ns]; observations must be newer.
        command: Last command by name [rad or m]; None before the first.
        executing: The policy has the robot (AUTO, SLOW): E7 applies. Otherwise ALIGN leads to the
            first action.
        ahead_ns: The next command takes what the plan says for so long after now [ns].
        shift_ns: The plan begins the chunk by so much later than its stamp says [ns].
        hold: Actions are held, not interpolated.
    """

    now_ns: int
    epoch: int
    epoch_start_ns: int
    command: Mapping[str, float] | None = None
    executing: bool = False
    ahead_ns: int = 0
    shift_ns: int = 0
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One failed check."""

    check: Check
    on_failure: OnFailure
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressResult:
    """The verdict on a chunk.

    Attributes:
        values: Clipped actions, shape (chunk_size, action_dim); None if unchanged.
        findings: Failed checks, also those that only warn.
    """

    verdict: Verdict
    values: NDArray[np.float32] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def code(self) -> str:
        """Code of the check that decided; empty if none failed."""
        return str(self.findings[-1].check) if self.findings else ''

    @property
    def text(self) -> str:
        """All findings for people."""
        return '; '.join(f'{one.check}: {one.text}' for one in self.findings)
