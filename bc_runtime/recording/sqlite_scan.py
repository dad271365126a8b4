# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a damaged SQLite file of rosbag2 as far as it goes, and say what is lost.

SQLite keeps no check sums: a damaged page is noticed where it breaks the structure, a changed byte
inside a message only if the message can then not be decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
import sqlite3

from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.sqlite_storage import SqliteStorage
from bc_runtime.recording.storage import StoredMessage, StoredTopic

#: Row numbers that are tried behind a damaged place if the number of the last row is not known.
_REACH = 100_000


@dataclass(slots=True)
class SqliteReport:
    """What a scan found; filled while it runs.

    Attributes:
        problems: Damaged places in which messages are lost, in words.
        lost: Messages that are known to be lost; the topics of most cannot be told.
        uncounted: Something is lost, and nothing says how many messages that is.
        metadata: Bag metadata that the file itself holds.
        ros_distro: Distribution that wrote the file, if it says so.
        topics: The topics that the file lists.
    """

    problems: list[str] = field(default_factory=list)
    lost: int = 0
    uncounted: bool = False
    metadata: str = ''
    ros_distro: str = ''
    topics: tuple[StoredTopic, ...] = ()


def scan_sqlite(path: Path, report: SqliteReport) -> Iterator[StoredMessage]:
    """Yield the messages of a file in the order in which they were written.

    Raises:
        BagDamaged: Not even the list of topics can be read.
    """
    try:
        opened = SqliteStorage(path, count=False)
    except BagDamaged as error:
        raise BagDamaged(
            f'not even the list of topics of {path} can be read ({error.__cause__ or error}). '
            f"SQLite's own tool may find more: sqlite3 {path} .recover"
        ) from error
    with closing(opened) as storage:
        report.metadata, report.ros_distro = storage.metadata, storage.ros_distro
        report.topics = storage.topics
        last = 0
        for row in _rows(storage.database, report):
            number, topic_id, time_ns, data = row
            # Rows are numbered from 1 without a gap: nothing is ever taken out of a bag.
            report.lost += number - last - 1
            last = number
            topic = storage.by_id.get(topic_id)
            if topic is None or not isinstance(data, bytes) or not isinstance(time_ns, int):
                report.lost += 1
                report.problems.append(f'row {number} is damaged')
                continue
            yield StoredMessage(time_ns, topic, data)
        final = _last_row(storage.database)
        if final is not None:
            report.lost += max(0, final - last)
        elif report.problems:
            report.uncounted = True


def _rows(
    database: sqlite3.Connection, report: SqliteReport
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield rows in order; behind a damaged place find the next one that can be read."""
    columns = 'SELECT id, topic_id, timestamp, data FROM messages'
    number = 0
    while True:
        try:
            for row in database.execute(f'{columns} WHERE id > ? ORDER BY id', (number,)):
                number = row[0]
                yield row
            return
        except (sqlite3.Error, OverflowError) as error:
            problem = f'after row {number}: {error}'
        report.problems.append(problem)
        final = _last_row(database) or number + _REACH
        found = None
        while found is None and number < final:
            number += 1
            try:
                found = database.execute(f'{columns} WHERE id = ?', (number,)).fetchone()
            except (sqlite3.Error, OverflowError):
                continue
        if found is None:
            return
        yield found


def _last_row(database: sqlite3.Connection) -> int | None:
    try:
        (number,) = database.execute('SELECT max(id) FROM messages').fetchone()
    except sqlite3.Error:
        return None
    return number or 0
