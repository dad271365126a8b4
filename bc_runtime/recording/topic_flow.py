# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What came of a topic, and what was lost on the way to us.

A publisher numbers its messages; the middleware hands the number over with each message. A number
that is left out is a message that was sent and not received: its place in a queue was taken by a
newer one, or it was lost in the network or in shared memory. Nothing else tells of these: the
middleware reports no loss when a queue overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json

from bc_runtime.spec.errors import RecordingError


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicAudit:
    """Counts of a topic over an episode.

    Attributes:
        received: Messages that came.
        lost: Messages that were sent and did not come.
        largest_loss: Most messages lost in a row.
        largest_gap_s: Longest time between two messages, or from the start of the episode to the
            first one, by their reception [s].
        rate_hz: Messages per second between the first and the last one; 0 for fewer than two.
    """

    received: int = 0
    lost: int = 0
    largest_loss: int = 0
    largest_gap_s: float = 0.0
    rate_hz: float = 0.0


class TopicFlow:
    """Counts what comes of a topic. Not thread-safe."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}  # publisher -> number of its newest message
        self.numbered = False  # whether the middleware hands numbers over
        self.restart()

    def restart(self, start_ns: int = 0) -> None:
        """Begin an episode: counts begin at 0, what publishers last sent is still known.

        Args:
            start_ns: When it begins, the clock of `add` [ns]; 0: with the first message.
        """
        self._received = self._lost = self._largest = 0
        self._first_ns = self._gap_ns = 0
        self._last_ns = start_ns

    def add(self, received_ns: int, *, publisher: bytes = b'', number: int | None = None) -> int:
        """Count a message; return how many were lost right before it.

        Args:
            received_ns: Time of reception [ns].
            publisher: Identity of the publisher.
            number: Its number of the message; None if the middleware gives none.
        """
        if self._last_ns:
            self._gap_ns = max(self._gap_ns, received_ns - self._last_ns)
        if not self._received:
            self._first_ns = received_ns
        self._received += 1
        self._last_ns = received_ns
        lost = 0
        if number is not None:
            self.numbered = True
            last = self._last.get(publisher)
            # A latched message comes again with each new subscription: an old number is no loss.
            lost = max(0, number - last - 1) if last is not None else 0
            self._last[publisher] = number if last is None else max(number, last)
        self.add_loss(lost)
        return lost

    def add_loss(self, count: int) -> None:
        """Count messages that the middleware itself reports as lost."""
        self._lost += count
        self._largest = max(self._largest, count)

    @property
    def audit(self) -> TopicAudit:
        """The counts since the episode began."""
        span_s = (self._last_ns - self._first_ns) / 1e9 if self._received else 0.0
        return TopicAudit(
            received=self._received,
            lost=self._lost,
            largest_loss=self._largest,
            largest_gap_s=round(self._gap_ns / 1e9, 4),
            rate_hz=round((self._received - 1) / span_s, 2) if span_s > 0 else 0.0,
        )


def describe_losses(audits: Mapping[str, TopicAudit]) -> str:
    """Say in words what was lost, the worst topic first; empty if nothing was."""
    losers = sorted(
        (name for name, audit in audits.items() if audit.lost),
        key=lambda name: -audits[name].lost,
    )
    if not losers:
        return ''
    parts = [
        f'{audits[name].lost} of {name} (most in a row: {audits[name].largest_loss})'
        for name in losers[:3]
    ]
    if len(losers) > 3:
        parts.append(f'and some of {len(losers) - 3} more topics')
    total = sum(audit.lost for audit in audits.values())
    return f'{total} messages were sent and not received: {", ".join(parts)}'


def dump_audit(audits: Mapping[str, TopicAudit], dropped: Mapping[str, int]) -> str:
    """Return the text that bags hold under `bc.audit`: JSON, one entry for each topic."""
    entries = {
        name: {
            'received': audit.received,
            'rate_hz': audit.rate_hz,
            'lost': audit.lost,
            'largest_loss': audit.largest_loss,
            'largest_gap_s': audit.largest_gap_s,
            'dropped': dropped.get(name, 0),
        }
        for name, audit in sorted(audits.items())
    }
    return json.dumps(entries)


def parse_audit(text: str) -> dict[str, TopicAudit]:
    """Read the text of `bc.audit`; empty text, of an older bag, gives no topics.

    Raises:
        RecordingError: The text is not what `dump_audit` writes.
    """
    if not text:
        return {}
    try:
        return {
            str(name): TopicAudit(
                received=int(entry['received']),
                lost=int(entry['lost']),
                largest_loss=int(entry['largest_loss']),
                largest_gap_s=float(entry['largest_gap_s']),
                rate_hz=float(entry['rate_hz']),
            )
            for name, entry in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f'label bc.audit cannot be read: {error!r}') from error
