# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The QoS profile of a publisher as rosbag2 stores it.

Names and integer codes are those of `rmw/types.h`; bags of version 9 (Jazzy and newer) hold the
names, older bags hold the integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bc_runtime.spec.errors import RecordingError, available

# rmw/types.h: RMW_DURATION_INFINITE is {9223372036 s, 854775807 ns}, the largest int64 nanoseconds
DURATION_INFINITE_NS = 2**63 - 1

_HISTORY = ('system_default', 'keep_last', 'keep_all', 'unknown')
_RELIABILITY = ('system_default', 'reliable', 'best_effort', 'unknown', 'best_available')
_DURABILITY = ('system_default', 'transient_local', 'volatile', 'unknown', 'best_available')
_LIVELINESS = (
    'system_default',
    'automatic',
    'manual_by_node',
    'manual_by_topic',
    'unknown',
    'best_available',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QosProfile:
    """One publisher's quality of service.

    Attributes:
        history: `keep_last`, `keep_all`, `unknown` or `system_default`. Discovery does not carry
            the history, so a recorder usually sees `unknown` with depth 0.
        deadline_ns: Longest promised time between messages [ns]; infinite by default.
        lifespan_ns: Age after which a message is void [ns].
        liveliness_lease_ns: Time without a sign of life after which the publisher is lost [ns].
    """

    history: str = 'unknown'
    depth: int = 0
    reliability: str = 'reliable'
    durability: str = 'volatile'
    deadline_ns: int = DURATION_INFINITE_NS
    lifespan_ns: int = DURATION_INFINITE_NS
    liveliness: str = 'automatic'
    liveliness_lease_ns: int = DURATION_INFINITE_NS
    avoid_ros_namespace_conventions: bool = False

    def __post_init__(self) -> None:
        for key, names in (
            ('history', _HISTORY),
            ('reliability', _RELIABILITY),
            ('durability', _DURABILITY),
            ('liveliness', _LIVELINESS),
        ):
            value = getattr(self, key)
            if value not in names:
                raise RecordingError(
                    f'QoS {key} is {value!r}; expected one of: {available(names)}'
                )

    @property
    def latched(self) -> bool:
        """True when a late subscriber gets the last message."""
        return self.durability == 'transient_local'

    def to_mapping(self) -> dict[str, Any]:
        """Return the profile as rosbag2 writes it in metadata of version 9."""
        return {
            'history': self.history,
            'depth': self.depth,
            'reliability': self.reliability,
            'durability': self.durability,
            'deadline': _to_sec_nsec(self.deadline_ns),
            'lifespan': _to_sec_nsec(self.lifespan_ns),
            'liveliness': self.liveliness,
            'liveliness_lease_duration': _to_sec_nsec(self.liveliness_lease_ns),
            'avoid_ros_namespace_conventions': self.avoid_ros_namespace_conventions,
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> QosProfile:
        """Read a profile of any metadata version (names or integer codes)."""
        return cls(
            history=_name(mapping.get('history'), _HISTORY),
            depth=int(mapping.get('depth', 0)),
            reliability=_name(mapping.get('reliability'), _RELIABILITY),
            durability=_name(mapping.get('durability'), _DURABILITY),
            deadline_ns=_to_ns(mapping.get('deadline')),
            lifespan_ns=_to_ns(mapping.get('lifespan')),
            liveliness=_name(mapping.get('liveliness'), _LIVELINESS),
            liveliness_lease_ns=_to_ns(mapping.get('liveliness_lease_duration')),
            avoid_ros_namespace_conventions=bool(
                mapping.get('avoid_ros_namespace_conventions', False)
            ),
        )


def dump_profiles(profiles: Iterable[QosProfile]) -> str:
    """Return the YAML text that MCAP channels carry as `offered_qos_profiles`."""
    mappings = [profile.to_mapping() for profile in profiles]
    return yaml.safe_dump(mappings, sort_keys=False).strip() if mappings else ''


def parse_profiles(profiles: str | Sequence[Mapping[str, Any]] | None) -> tuple[QosProfile, ...]:
    """Read `offered_qos_profiles`: YAML text (channels, version < 9) or a list (version 9)."""
    loaded = yaml.safe_load(profiles) if isinstance(profiles, str) else profiles
    return tuple(QosProfile.from_mapping(mapping) for mapping in loaded or ())


def read_profiles(profiles: object) -> tuple[QosProfile, ...]:
    """Read `offered_qos_profiles` as far as they can be read: no bag is refused for them."""
    try:
        return parse_profiles(profiles)  # type: ignore[arg-type]
    except (yaml.YAMLError, RecordingError, KeyError, TypeError, ValueError, AttributeError):
        return ()


def _name(value: object, names: tuple[str, ...]) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else 'unknown'
    text = str(value).lower()
    return text if text in names else 'unknown'


def _to_sec_nsec(duration_ns: int) -> dict[str, int]:
    sec, nsec = divmod(duration_ns, 1_000_000_000)
    return {'sec': sec, 'nsec': nsec}


def _to_ns(duration: Mapping[str, int] | None) -> int:
    if duration is None:
        return DURATION_INFINITE_NS
    # Bags of old distributions hold a larger 'infinite' in seconds than int64 nanoseconds can.
    return min(int(duration['sec']) * 1_000_000_000 + int(duration['nsec']), DURATION_INFINITE_NS)
