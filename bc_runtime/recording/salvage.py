# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What of a damaged bag goes into the new one, and the account of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bc_runtime.recording.bag_writer import BagWriter
from bc_runtime.recording.compression import decompress_message
from bc_runtime.recording.decoder import MessageDecoder
from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.errors import BagDamaged, DefinitionNotFound
from bc_runtime.recording.known_definitions import find_definition
from bc_runtime.recording.qos import QosProfile
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.spec.errors import RecordingError

#: Stands for the topic of messages that are lost with the name of their topic.
UNKNOWN_TOPIC = '(unknown topic)'


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRecovery:
    """What became of the messages of a topic.

    Attributes:
        before: Messages that the old bag counted, or that were found in it.
        kept: Messages in the new bag.
        lost: Messages that were found damaged, or counted and not found.
    """

    before: int
    kept: int
    lost: int


@dataclass(slots=True)
class Salvage:
    """Takes over topics and messages, and counts.

    A message is kept if it can be decoded: one that cannot would end the reading of the new bag.

    Attributes:
        writer: The new bag.
        ros_distro: Distribution that wrote the old bag; empty if unknown.
        types: Type of each topic, for topics whose definition is lost.
        kept: Messages in the new bag, by topic.
        lost: Messages that were seen to be lost, by topic.
        problems: Damaged places in which messages were lost, in words.
        notes: Damaged places that cost no message.
        complete: The old files had their end.
        torn_bytes: Bytes at the ends of the old files that belong to no whole record.
        suspect: Messages in chunks with a wrong check sum.
        uncounted: Something is lost, and nothing says how many messages that is.
    """

    writer: BagWriter
    ros_distro: str = ''
    types: Mapping[str, str] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    torn_bytes: int = 0
    suspect: int = 0
    uncounted: bool = False
    _topics: dict[str, bool] = field(default_factory=dict)  # name -> whether it is taken over
    _types: dict[str, str] = field(default_factory=dict)
    _decoder: MessageDecoder = field(default_factory=MessageDecoder)
    _definitions: dict[str, MessageDefinition] = field(default_factory=dict)
    _unread: dict[str, str] = field(default_factory=dict)  # topic -> why messages were left out

    @property
    def topics(self) -> int:
        """Number of topics in the new bag."""
        return sum(self._topics.values())

    def add_topic(
        self,
        name: str,
        definition: MessageDefinition,
        qos: tuple[QosProfile, ...],
        serialization: str = 'cdr',
    ) -> None:
        """Take over a topic; one that comes again changes nothing."""
        if name in self._topics:
            return
        self._topics[name] = False
        if serialization != 'cdr':
            self.problems.append(
                f"{name} is left out: its format is {serialization!r}, and only 'cdr' is read"
            )
            return
        if not definition.type:
            definition = replace(definition, type=self.types.get(name, ''))
        try:
            found = self._define(definition)
            self.writer.add_topic(RecordedTopic(name=name, definition=found, qos=qos))
        except RecordingError as error:
            self.problems.append(f'{name} is left out: {error}')
            return
        self._topics[name], self._types[name] = True, definition.type

    def add_message(
        self,
        topic: str,
        data: bytes,
        *,
        log_time_ns: int,
        publish_time_ns: int,
        sequence: int = 0,
    ) -> None:
        """Take over a message, or count it as lost."""
        if not self._topics.get(topic, False):
            self.lost[topic] += 1
            return
        try:
            data = decompress_message(data)
            self._decoder.decode(self._types[topic], data)
        except RecordingError as error:
            self.lost[topic] += 1
            self._unread.setdefault(topic, str(error))
            return
        self.writer.write(
            topic,
            data,
            log_time_ns=log_time_ns,
            publish_time_ns=publish_time_ns,
            sequence=sequence,
        )
        self.kept[topic] += 1

    def account(self, before: Mapping[str, int]) -> dict[str, TopicRecovery]:
        """Return what became of each topic.

        Args:
            before: Messages by topic as the old bag counted them; empty if it did not.
        """
        for topic, problem in self._unread.items():
            self.problems.append(f'messages of {topic} are left out: {problem}')
        names = dict.fromkeys([*before, *self._topics, *self.lost])
        result: dict[str, TopicRecovery] = {}
        for name in names:
            kept = self.kept[name]
            lost = max(self.lost[name], before.get(name, 0) - kept)
            if name != UNKNOWN_TOPIC:
                result[name] = TopicRecovery(before=kept + lost, kept=kept, lost=lost)
        # Messages whose topic could not be told are among those that are missing of the topics.
        unknown = self.lost[UNKNOWN_TOPIC] - sum(
            topic.lost - self.lost[name] for name, topic in result.items()
        )
        if unknown > 0:
            result[UNKNOWN_TOPIC] = TopicRecovery(before=unknown, kept=0, lost=unknown)
        return result

    def _define(self, definition: MessageDefinition) -> MessageDefinition:
        """Return a definition that can be read, from elsewhere if that of the bag cannot.

        Raises:
            RecordingError: There is none.
        """
        if not definition.type:
            raise BagDamaged('its type is lost')
        if definition.type in self._definitions:
            return self._definitions[definition.type]
        found = definition if definition.text and self._is_whole(definition) else None
        if found is None:
            try:
                found = find_definition(
                    definition.type, ros_distro=self.ros_distro, type_hash=definition.type_hash
                )
            except DefinitionNotFound:
                if not definition.text:
                    raise
                found = definition
        self._decoder.add(type_name=found.type, encoding=found.encoding, text=found.text)
        self._definitions[definition.type] = found
        return found

    def _is_whole(self, definition: MessageDefinition) -> bool:
        """Return whether the text of a definition is what its hash was made of."""
        decoder = MessageDecoder()
        try:
            decoder.add(
                type_name=definition.type, encoding=definition.encoding, text=definition.text
            )
            return definition.type_hash in {'', decoder.type_hash(definition.type)}
        except (BagDamaged, KeyError):
            return False
