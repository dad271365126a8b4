# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about an episode besides its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import enum
from types import MappingProxyType

from bc_runtime.spec.errors import RecordingError, available

# Prefix of our keys in rosbag2's custom_data, which other tools may use as well.
_PREFIX = 'bc.'
_KEYS = ('id', 'instruction', 'policy_id', 'seed', 'outcome', 'termination', 'note')


class Outcome(enum.Enum):
    """How an episode ended. The values equal `bc_msgs/Episode` OUTCOME_*."""

    UNLABELED = 0
    SUCCESS = 1
    FAILURE = 2
    ABORTED = 3

    @classmethod
    def from_name(cls, name: str) -> Outcome:
        """Return the outcome of a lower- or upper-case name."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise RecordingError(
                f'outcome is {name!r}; expected one of: '
                f'{available(outcome.name.lower() for outcome in cls)}'
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLabels:
    """Labels of one episode, kept in the bag.

    Attributes:
        id: Name of the episode and of its bag directory.
        instruction: The task in words; empty if the policy takes none.
        policy_id: sha256 of the policy file; empty if no policy acted.
        seed: Scene seed of a simulated or staged trial; None if there was none.
        termination: Why it ended: success, timeout, operator, fault:CODE, ...
        note: Free text of the operator.
        extra: Further `key: value` pairs, e.g. the robot's name.
    """

    id: str
    instruction: str = ''
    policy_id: str = ''
    seed: int | None = None
    outcome: Outcome = Outcome.UNLABELED
    termination: str = ''
    note: str = ''
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id or '/' in self.id or self.id in {'.', '..'} or '\0' in self.id:
            raise RecordingError(
                f"episode id is {self.id!r}; expected a name that can be a directory, without '/'"
            )
        taken = [key for key in self.extra if key.startswith(_PREFIX)]
        if taken:
            raise RecordingError(
                f'extra label {taken[0]!r} starts with {_PREFIX!r}, which is kept for: '
                f'{available(_PREFIX + key for key in _KEYS)}'
            )
        object.__setattr__(self, 'extra', MappingProxyType(dict(self.extra)))

    def to_custom_data(self) -> dict[str, str]:
        """Return the labels as rosbag2 custom_data (text to text)."""
        return {
            f'{_PREFIX}id': self.id,
            f'{_PREFIX}instruction': self.instruction,
            f'{_PREFIX}policy_id': self.policy_id,
            f'{_PREFIX}seed': '' if self.seed is None else str(self.seed),
            f'{_PREFIX}outcome': self.outcome.name.lower(),
            f'{_PREFIX}termination': self.termination,
            f'{_PREFIX}note': self.note,
            **self.extra,
        }

    @classmethod
    def from_custom_data(cls, custom_data: Mapping[str, str], *, default_id: str) -> EpisodeLabels:
        """Read labels; a bag of another recorder has none and gets its name as the id."""
        known = {key: custom_data.get(_PREFIX + key, '') for key in _KEYS}
        try:
            seed = int(known['seed']) if known['seed'] else None
        except ValueError:
            raise RecordingError(
                f'label {_PREFIX}seed is {known["seed"]!r}; expected an integer'
            ) from None
        return cls(
            id=known['id'] or default_id,
            instruction=known['instruction'],
            policy_id=known['policy_id'],
            seed=seed,
            outcome=Outcome.from_name(known['outcome'] or 'unlabeled'),
            termination=known['termination'],
            note=known['note'],
            extra={k: v for k, v in custom_data.items() if not k.startswith(_PREFIX)},
        )
