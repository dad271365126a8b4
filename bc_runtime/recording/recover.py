# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rebuild a bag whose recorder was killed.

The damaged bag is only read. Everything that stands whole on its files goes into a new bag with
index, summary and metadata.yaml; what is lost is at most the chunk that was being filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
import re

from mcap.records import Channel, Message, Metadata, Schema

from bc_runtime.recording.bag_writer import METADATA_RECORD, BagWriter
from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.errors import BagDamaged, BagNotFound
from bc_runtime.recording.mcap_scan import ScanReport, scan
from bc_runtime.recording.metadata import FILE_NAME, parse_record, read_metadata
from bc_runtime.recording.qos import parse_profiles
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.spec.errors import RecordingError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What was saved.

    Attributes:
        path: The new bag.
        messages: Messages in it.
        topics: Topics in it.
        was_complete: The old files had their end; only the directory needed repair.
        torn_bytes: Bytes at the ends of the old files that belong to no whole record. Messages
            that stood complete in them were saved all the same.
        problems: Damaged places that were skipped, in words.
    """

    path: Path
    messages: int
    topics: int
    was_complete: bool
    torn_bytes: int
    problems: tuple[str, ...]


def recovered_path(source: Path) -> Path:
    """Return where a recovered bag goes if nobody says otherwise: `<source>_recovered`."""
    source = source.resolve()  # `.` has no name
    return source.with_name(f'{source.stem}_recovered')


def recover_bag(source: Path, destination: Path | None = None) -> RecoveryReport:
    """Write all that can be read of an MCAP bag into a new one.

    Args:
        source: Bag directory or .mcap file; it is not changed.
        destination: Directory of the new bag, by default `<source>_recovered`.

    Raises:
        BagNotFound: There is no MCAP file.
        BagExists: The destination is already there.
        BagDamaged: Not one file begins as an MCAP file.
    """
    files = _storage_files(source)
    metadata = _old_metadata(source, files)
    writer = BagWriter(
        destination or recovered_path(source),
        custom_data={**metadata[0], 'bc.closed': 'recovered'},
        ros_distro=metadata[1],
    )
    problems: list[str] = []
    torn_bytes, complete = 0, True
    try:
        for file in files:
            report = ScanReport()
            try:
                _copy(file, report, writer)
            except BagDamaged as error:
                if len(files) == 1:
                    raise
                report.problems.append(str(error))
            problems += (f'{file.name}: {problem}' for problem in report.problems)
            torn_bytes += report.torn_bytes
            complete &= report.complete
    finally:
        writer.close()
    return RecoveryReport(
        path=writer.path,
        messages=writer.message_count,
        topics=len(writer.metadata().topics),
        was_complete=complete,
        torn_bytes=torn_bytes,
        problems=tuple(problems),
    )


def _copy(file: Path, report: ScanReport, writer: BagWriter) -> None:
    schemas: dict[int, Schema] = {}
    topics: dict[int, str] = {}
    for record in scan(file, report):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            if record.id in topics:
                continue
            schema = schemas.get(record.schema_id)
            if schema is None:
                report.problems.append(f'topic {record.topic} skipped: its definition is lost')
                continue
            try:
                writer.add_topic(_topic(record, schema))
            except RecordingError as error:
                report.problems.append(str(error))
                continue
            topics[record.id] = record.topic
        elif isinstance(record, Message) and record.channel_id in topics:
            writer.write(
                topics[record.channel_id],
                record.data,
                log_time_ns=record.log_time,
                publish_time_ns=record.publish_time,
                sequence=record.sequence,
            )


def _topic(channel: Channel, schema: Schema) -> RecordedTopic:
    return RecordedTopic(
        name=channel.topic,
        definition=MessageDefinition(
            type=schema.name,
            encoding=schema.encoding,
            text=schema.data.decode('utf-8'),
            type_hash=channel.metadata.get('topic_type_hash', ''),
        ),
        qos=parse_profiles(channel.metadata.get('offered_qos_profiles')),
    )


def _storage_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = sorted(source.glob('*.mcap'), key=_split_number)
    if not files:
        sqlite = ' It holds a SQLite bag; try `sqlite3 FILE .recover`.'
        raise BagNotFound(
            f'no .mcap file in {source}; nothing to recover.'
            f'{sqlite if list(source.glob("*.db3")) else ""}'
        )
    return files


def _split_number(path: Path) -> tuple[int, str]:
    match = re.search(r'_(\d+)$', path.stem)
    return (int(match[1]) if match else 0, path.name)


def _old_metadata(source: Path, files: list[Path]) -> tuple[Mapping[str, str], str]:
    """Return custom data and ROS distribution, from the newest place that has them."""
    if (source / FILE_NAME).is_file():
        try:
            metadata = read_metadata(source)
        except (BagDamaged, UnicodeDecodeError):
            pass  # half a metadata.yaml is one of the things to recover from
        else:
            return metadata.custom_data, metadata.ros_distro
    for record in scan(files[0], ScanReport()):
        if isinstance(record, Metadata) and record.name == METADATA_RECORD:
            metadata = parse_record(
                record.metadata.get('serialized_metadata', ''), source=str(files[0])
            )
            return metadata.custom_data, metadata.ros_distro
        if isinstance(record, Message):
            break
    return {}, ''
