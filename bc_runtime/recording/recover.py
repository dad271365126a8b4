# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rebuild a damaged or unfinished bag.

The old bag is only read. Every message that can be read goes into a new MCAP bag with index,
definitions and metadata.yaml; what is lost is counted. At the end the new bag is opened and read,
so that a recovered bag is a readable one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
import shutil
from tempfile import TemporaryDirectory

from mcap.records import Channel, Message, Metadata, Schema

from bc_runtime.recording.bag_files import BagFiles, find_bag_files
from bc_runtime.recording.bag_writer import BagWriter
from bc_runtime.recording.compression import decompress_file
from bc_runtime.recording.errors import BagDamaged, BagNotFound
from bc_runtime.recording.mcap_records import METADATA_RECORD, definition_of, qos_of
from bc_runtime.recording.mcap_scan import ScanReport, scan
from bc_runtime.recording.metadata import FILE_NAME, BagMetadata, parse_record
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.salvage import UNKNOWN_TOPIC, Salvage, TopicRecovery
from bc_runtime.recording.sqlite_scan import SqliteReport, scan_sqlite
from bc_runtime.recording.sqlite_storage import SqliteStorage
from bc_runtime.recording.storage import FileKind, kind_of
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
        problems: Damaged places in which messages were lost, in words.
        notes: Damaged places that cost no message, and what else is worth knowing.
        by_topic: What became of each topic.
        suspect: Messages in chunks with a wrong check sum; kept only if asked for.
        uncounted: More is lost than `by_topic` counts: nothing says how many messages stood there.
    """

    path: Path
    messages: int
    topics: int
    was_complete: bool
    torn_bytes: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    by_topic: Mapping[str, TopicRecovery] = field(default_factory=dict)
    suspect: int = 0
    uncounted: bool = False

    @property
    def lost(self) -> int:
        """Messages that are known to be lost."""
        return sum(topic.lost for topic in self.by_topic.values())

    @property
    def whole(self) -> bool:
        """True if every message of the old bag is in the new one, unchanged."""
        return not (self.lost or self.uncounted or self.suspect or self.problems)


def recovered_path(source: Path) -> Path:
    """Return where a recovered bag goes if nobody says otherwise: `<source>_recovered`."""
    source = source.resolve()  # `.` has no name
    stem = source.name.removesuffix('.zstd')
    return source.with_name(f'{Path(stem).stem if source.is_file() else stem}_recovered')


def recover_bag(
    source: Path, destination: Path | None = None, *, keep_suspect: bool = False
) -> RecoveryReport:
    """Write all that can be read of a bag into a new one.

    Args:
        source: Bag directory or one of its files, MCAP or SQLite; it is not changed.
        destination: Directory of the new bag, by default `<source>_recovered`.
        keep_suspect: Keep the messages of chunks with a wrong check sum as well: all but one of
            such a chunk are usually right.

    Raises:
        BagNotFound: There is no file of a bag.
        BagExists: The destination is already there.
        BagDamaged: Nothing of a bag can be read.
        RecordingError: The new bag could not be written, or not be read afterwards.
    """
    try:
        bag = find_bag_files(source)
    except BagNotFound as error:
        raise BagNotFound(f'nothing to recover: {error}') from error
    if not bag.files and not bag.unlisted:
        raise BagDamaged(f'{source} holds no file with messages; nothing to recover')
    target = destination or recovered_path(source)
    with TemporaryDirectory(prefix='bc_recover_') as folder:
        files, cut = _decompress(bag, Path(folder))
        metadata = bag.metadata or _stored_metadata(files)
        distribution = metadata.ros_distro if metadata else ''
        writer = BagWriter(
            target,
            custom_data={**(metadata.custom_data if metadata else {}), 'bc.closed': 'recovered'},
            ros_distro=distribution,
        )
        salvage = Salvage(
            writer,
            ros_distro=distribution,
            types={topic.name: topic.type for topic in metadata.topics} if metadata else {},
            problems=cut,
            uncounted=bool(cut),
        )
        try:
            expected = _copy(bag, files, salvage, keep_suspect=keep_suspect)
            writer.close()
            _verify(target, salvage.kept)
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise RecordingError(f'{target} could not be written: {error}') from error
        except BaseException:
            with suppress(OSError):
                writer.close()
            shutil.rmtree(target, ignore_errors=True)
            raise
    report = _report(bag, salvage, expected, metadata)
    if not report.messages and not report.whole:
        shutil.rmtree(target, ignore_errors=True)  # a bag of nothing is no recovered bag
    return report


def _copy(
    bag: BagFiles, files: list[Path], salvage: Salvage, *, keep_suspect: bool
) -> Counter[str] | None:
    """Copy all files; return how many messages they count, None if one does not."""
    expected: Counter[str] | None = Counter()
    for name in bag.missing:
        salvage.problems.append(f'{name} is missing, which {FILE_NAME} lists')
        salvage.complete, expected = False, None
    errors: list[BagDamaged] = []
    for file in files:
        try:
            counts = (
                _copy_sqlite(file, salvage)
                if kind_of(file) is FileKind.SQLITE
                else _copy_mcap(file, salvage, keep_suspect=keep_suspect)
            )
        except BagDamaged as error:
            errors.append(error)
            salvage.problems.append(str(error))
            salvage.complete, salvage.uncounted, counts = False, True, None
        if expected is not None:
            expected = None if counts is None else expected + Counter(counts)
    if errors and len(errors) == len(files):
        raise errors[0]
    return expected


def _copy_sqlite(file: Path, salvage: Salvage) -> Mapping[str, int] | None:
    report = SqliteReport()
    found: Counter[str] = Counter()
    for stored in scan_sqlite(file, report):
        topic = stored.topic
        salvage.ros_distro = salvage.ros_distro or report.ros_distro
        salvage.add_topic(topic.name, topic.definition, topic.qos, topic.serialization)
        salvage.add_message(
            topic.name,
            stored.data,
            log_time_ns=stored.log_time_ns,
            publish_time_ns=stored.log_time_ns,
        )
        found[topic.name] += 1
    for topic in report.topics:
        salvage.add_topic(topic.name, topic.definition, topic.qos, topic.serialization)
    salvage.problems += (f'{file.name}: {problem}' for problem in report.problems)
    salvage.uncounted |= report.uncounted
    salvage.lost[UNKNOWN_TOPIC] += report.lost
    if report.problems or report.lost:
        salvage.complete = False
        return None
    return found


def _copy_mcap(file: Path, salvage: Salvage, *, keep_suspect: bool) -> Mapping[str, int] | None:
    report = ScanReport()
    schemas: dict[int, Schema] = {}
    topics: dict[int, str] = {}
    found: Counter[str] = Counter()
    for record in scan(file, report, keep_suspect=keep_suspect):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            topics[record.id] = record.topic
            definition = definition_of(record, schemas.get(record.schema_id))
            salvage.add_topic(record.topic, definition, qos_of(record), record.message_encoding)
        elif isinstance(record, Message):
            topic = topics.get(record.channel_id, UNKNOWN_TOPIC)
            found[topic] += 1
            salvage.add_message(
                topic,
                record.data,
                log_time_ns=record.log_time,
                publish_time_ns=record.publish_time,
                sequence=record.sequence,
            )
    for channel, count in report.lost.items():
        salvage.lost[topics.get(channel, UNKNOWN_TOPIC)] += count
    salvage.problems += (f'{file.name}: {problem}' for problem in report.problems)
    salvage.notes += (f'{file.name}: {repair}' for repair in report.repairs)
    salvage.torn_bytes += report.torn_bytes
    salvage.complete &= report.complete
    salvage.uncounted |= report.uncounted
    salvage.suspect += report.suspect.total()
    if report.expected is not None:
        return report.expected
    return None if report.problems or report.uncounted or not report.complete else found


def _report(
    bag: BagFiles,
    salvage: Salvage,
    expected: Mapping[str, int] | None,
    metadata: BagMetadata | None,
) -> RecoveryReport:
    counted = {topic.name: topic.message_count for topic in metadata.topics} if metadata else {}
    by_topic = salvage.account(counted if expected is None else expected)
    notes = [bag.problem, *salvage.notes] if bag.problem else salvage.notes
    if expected is not None and bag.metadata is not None and counted != dict(expected):
        notes.append(
            f'{FILE_NAME} counts {sum(counted.values())} messages, its files hold '
            f'{sum(expected.values())}'
        )
    return RecoveryReport(
        path=salvage.writer.path,
        messages=salvage.kept.total(),
        topics=salvage.topics,
        was_complete=salvage.complete,
        torn_bytes=salvage.torn_bytes,
        problems=tuple(salvage.problems),
        notes=tuple(notes),
        by_topic=by_topic,
        suspect=salvage.suspect,
        uncounted=salvage.uncounted,
    )


def _decompress(bag: BagFiles, folder: Path) -> tuple[list[Path], list[str]]:
    """Return all files of a bag as they can be read, and which of them break off."""
    files: list[Path] = []
    cut: list[str] = []
    for number, file in enumerate((*bag.files, *bag.unlisted)):
        if kind_of(file) is not FileKind.ZSTD:
            files.append(file)
            continue
        target = folder / str(number) / file.stem
        target.parent.mkdir()
        try:
            problem = decompress_file(file, target)
        except OSError as error:
            raise RecordingError(
                f'{file} is compressed as a whole and cannot be decompressed into {folder}: '
                f'{error}. Set TMPDIR to a folder with more room'
            ) from error
        cut += [problem] if problem else []
        files.append(target)
    return files, cut


def _stored_metadata(files: list[Path]) -> BagMetadata | None:
    """Return the newest metadata that a file itself holds."""
    text, source = '', ''
    for file in files:
        if kind_of(file) is FileKind.SQLITE:
            with suppress(BagDamaged), closing(SqliteStorage(file, count=False)) as storage:
                text, source = storage.metadata or text, str(file)
            continue
        with suppress(BagDamaged):
            for record in scan(file, ScanReport()):
                if isinstance(record, Metadata) and record.name == METADATA_RECORD:
                    text, source = record.metadata.get('serialized_metadata', text), str(file)
    try:
        return parse_record(text, source=source) if text else None
    except BagDamaged:
        return None  # topics and messages stand in the files


def _verify(bag: Path, kept: Mapping[str, int]) -> None:
    """Read the new bag from end to end."""
    with BagReader(bag) as reader:
        found = Counter(message.topic for message in reader.messages())
    if found != Counter(kept):
        raise RecordingError(
            f'{bag} holds {found.total()} messages, and {sum(kept.values())} were written to it: '
            'the disk does not keep what is written. Recover to another one with: bc recover -o'
        )
