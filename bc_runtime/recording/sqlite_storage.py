# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a SQLite file of rosbag2 (`.db3`), of any schema from Foxy to Kilted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
import os
from pathlib import Path
import shutil
import sqlite3
import tempfile
from urllib.parse import quote

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.qos import read_profiles
from bc_runtime.recording.storage import StoredMessage, StoredTopic

#: Files in which SQLite keeps what is not in the database yet.
_SIDE_FILES = ('-wal', '-journal')


class SqliteStorage:
    """See `Storage`."""

    def __init__(self, path: Path, *, count: bool = True) -> None:
        """Open the file; it is not changed.

        Args:
            path: The file.
            count: Count the messages, for which all pages of the table are read. Without, a file
                that breaks off is opened as well.

        Raises:
            BagDamaged: It is no database of rosbag2, or it is damaged.
        """
        self.path = path
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._database = self._connect(fill=not count)
        try:
            self._read_head(count)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self.close()
            raise damaged(path, error) from error
        except BaseException:
            self.close()
            raise

    @property
    def database(self) -> sqlite3.Connection:
        """The open database."""
        return self._database

    def messages(
        self, names: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """See `Storage`."""
        topics = {k: t for k, t in self.by_id.items() if names is None or t.name in names}
        query = (
            'SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN '
            f'({",".join("?" * len(topics))}) AND timestamp >= ? AND timestamp < ? '
            'ORDER BY timestamp, id'
        )
        first = -(2**63) if start_ns is None else start_ns
        stop = 2**63 - 1 if stop_ns is None else min(stop_ns, 2**63 - 1)
        try:
            for topic_id, time_ns, data in self._database.execute(query, (*topics, first, stop)):
                yield StoredMessage(time_ns, topics[topic_id], data)
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _connect(self, *, fill: bool) -> sqlite3.Connection:
        file = self.path
        sides = [file.with_name(file.name + end) for end in _SIDE_FILES]
        missing = _missing_bytes(file) if fill else 0
        if missing or any(side.is_file() and side.stat().st_size for side in sides):
            # Reading would write the rest into the database: a recording is not changed by that.
            self._copy = tempfile.TemporaryDirectory(prefix='bc_bag_')
            for part in (file, *sides):
                if part.is_file():
                    shutil.copyfile(part, Path(self._copy.name, part.name))
            copy = Path(self._copy.name, file.name)
            if missing:  # SQLite opens nothing of a file that is shorter than its head says
                os.truncate(copy, copy.stat().st_size + missing)
            return sqlite3.connect(copy, check_same_thread=False)
        uri = f'file:{quote(str(file.absolute()))}?mode=ro&immutable=1'
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    def _read_head(self, count: bool) -> None:
        if count and (missing := _missing_bytes(self.path)):
            raise sqlite3.DatabaseError(f'{missing} bytes of it were never written or copied')
        run = self._database.execute
        tables = {name for (name,) in run("SELECT name FROM sqlite_master WHERE type='table'")}
        if not {'messages', 'topics'} <= tables:
            raise BagDamaged(
                f'{self.path} is a SQLite database, but no bag: it lacks the tables messages and '
                'topics'
            )
        definitions: dict[str, tuple[str, str]] = {}
        try:
            if 'message_definitions' in tables:
                query = 'SELECT topic_type, encoding, encoded_message_definition '
                for name, encoding, text in run(f'{query} FROM message_definitions'):
                    definitions[name] = (encoding, text)
        except sqlite3.Error:
            if count:
                raise
        counts: dict[int, int] = {}
        self.start_ns = self.end_ns = 0
        if count:
            counts.update(run('SELECT topic_id, count(*) FROM messages GROUP BY topic_id'))
            first, last = run('SELECT min(timestamp), max(timestamp) FROM messages').fetchone()
            self.start_ns, self.end_ns = first or 0, last or 0
        columns = {row[1] for row in run('PRAGMA table_info(topics)')}
        self.by_id: dict[int, StoredTopic] = {}
        rows = self._database.execute('SELECT * FROM topics ORDER BY id')
        names = [column[0] for column in rows.description]
        for row in rows:
            entry = dict(zip(names, row, strict=True))
            encoding, text = definitions.get(entry['type'], ('', ''))
            known = encoding in {'ros2msg', 'ros2idl'}
            self.by_id[entry['id']] = StoredTopic(
                name=entry['name'],
                definition=MessageDefinition(
                    type=entry['type'],
                    encoding=encoding if known else '',
                    text=text if known else '',
                    type_hash=entry.get('type_description_hash') or '',
                ),
                qos=read_profiles(entry['offered_qos_profiles'])
                if 'offered_qos_profiles' in columns
                else (),
                message_count=counts.get(entry['id'], 0),
                serialization=entry['serialization_format'],
            )
        self.topics = tuple(self.by_id.values())
        self.metadata = self.ros_distro = ''
        with suppress(sqlite3.Error):  # older files have no such tables
            row = run('SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1').fetchone()
            self.metadata = row[0] if row else ''
        with suppress(sqlite3.Error):
            row = run('SELECT ros_distro FROM schema').fetchone()
            self.ros_distro = row[0] if row else ''


def _missing_bytes(path: Path) -> int:
    """Return how much shorter a file is than its own head says: torn, or copied in part."""
    with path.open('rb') as stream:
        head = stream.read(32)
    page = int.from_bytes(head[16:18], 'big')
    wanted = (65536 if page == 1 else page) * int.from_bytes(head[28:32], 'big')
    return max(0, wanted - path.stat().st_size)


def damaged(path: Path, error: Exception) -> BagDamaged:
    """Return the error of a damaged database."""
    return BagDamaged(
        f'{path} is damaged ({error}). What is whole can be saved with: bc recover {path}'
    )
