# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""KnownTopics: the schemas and channels of an MCAP file that is damaged.

They stand among the data and, repeated, in the summary at the end. Where a check sum covers the
summary, its copies are right. Where none does, two copies that differ are both in doubt: the one
that can be read is taken, and if both can, nothing says what the messages are.
"""

from __future__ import annotations

from collections.abc import Iterator
import re
from typing import TypeAlias

from mcap.records import Channel, Metadata, Schema

from bc_runtime.recording.decoder import MessageDecoder
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.mcap_records import McapSummary, definition_of

Definition: TypeAlias = Schema | Channel

_TOPIC = re.compile(r'/?[A-Za-z_~][A-Za-z0-9_~]*(/[A-Za-z0-9_~]+)*')


class KnownTopics:
    """See the module's docstring.

    Args:
        summary: The end of the file; None if it has none that can be read.
    """

    def __init__(self, summary: McapSummary | None) -> None:
        self._checked = summary is not None and summary.checked
        self._schemas = dict(summary.schemas) if summary is not None else {}
        self._channels = dict(summary.channels) if summary is not None else {}
        self._told: set[tuple[type, int]] = set()
        self.channels: set[int] = set(self._channels)
        #: Channel -> why nothing says what its messages are.
        self.doubtful: dict[int, str] = {}

    def begin(self) -> Iterator[Definition]:
        """Yield what is certain before anything was read."""
        if self._checked:
            yield from self.rest()

    def learn(self, record: object) -> Iterator[Definition | Metadata]:
        """Yield what a record among the data says, if it is not known already."""
        if isinstance(record, Metadata):
            yield record
        elif isinstance(record, Channel):
            self.channels.add(record.id)
            yield from self._tell_schema(record.schema_id)
            yield from self._tell(self._settle_channel(record))
        elif isinstance(record, Schema):
            yield from self._tell(self._settle_schema(record))

    def before(self, channel: int) -> Iterator[Definition]:
        """Yield what the messages of a channel need, and only the summary holds."""
        if (Channel, channel) not in self._told and channel in self._channels:
            yield from self._tell_schema(self._channels[channel].schema_id)
            yield from self._tell(self._channels[channel])

    def rest(self) -> Iterator[Definition]:
        """Yield what only the summary holds."""
        for record in (*self._schemas.values(), *self._channels.values()):
            yield from self._tell(record)

    def _tell(self, record: Definition) -> Iterator[Definition]:
        key = (type(record), record.id)
        if key not in self._told:
            self._told.add(key)
            yield record

    def _tell_schema(self, schema: int) -> Iterator[Definition]:
        if schema in self._schemas:
            yield from self._tell(self._schemas[schema])

    def _settle_schema(self, record: Schema) -> Schema:
        other = self._schemas.get(record.id, record)
        return other if self._checked or _is_readable(other) else record

    def _settle_channel(self, record: Channel) -> Channel:
        other = self._channels.get(record.id, record)
        if self._checked or other == record:
            return other
        fitting = [each for each in (other, record) if self._fits(each)]
        if len({(each.topic, each.schema_id) for each in fitting}) == 2:
            self.doubtful[record.id] = (
                f'channel {record.id} is {self._describe(record)} among the data and '
                f'{self._describe(other)} in the summary, and no check sum says which is right'
            )
        return fitting[0] if fitting else record

    def _fits(self, channel: Channel) -> bool:
        schema = channel.schema_id
        known = schema == 0 or schema in self._schemas or (Schema, schema) in self._told
        named = _TOPIC.fullmatch(channel.topic) is not None
        return known and named and channel.message_encoding == 'cdr'

    @staticmethod
    def _describe(channel: Channel) -> str:
        return f'{channel.topic} of schema {channel.schema_id}'


def _is_readable(schema: Schema) -> bool:
    """Return whether a schema is the definition of a ROS message."""
    definition = definition_of(Channel(0, '', '', {}, schema.id), schema)
    try:
        MessageDecoder().add(
            type_name=definition.type, encoding=definition.encoding, text=definition.text
        )
    except BagDamaged:
        return False
    return True
