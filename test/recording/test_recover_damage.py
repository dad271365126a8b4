# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Damaged files: what no damage has touched is kept, what is lost is told."""

from __future__ import annotations

import sqlite3
import struct

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
import pytest
from samples import damage
from samples.rosbag2 import COUNT, write_bag

from bc_runtime.cli.main import main
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.recover import recover_bag
from bc_runtime.spec.errors import RecordingError

MESSAGES = 60
ORIGINAL = [(damage.topic_of(n), damage.time_of(n), damage.payload(n)) for n in range(MESSAGES)]
#: Writers whose chunks carry a check sum: there a damaged message is never kept.
CHECKED = ('ours', 'check sums', 'no summary', 'zstd', 'lz4')
PACKED = ('zstd', 'lz4')


def recovered(path, target):
    """Return the report, None if nothing could be read, and the messages of the new bag."""
    try:
        report = recover_bag(path, target)
    except RecordingError:
        return None, []
    if not report.messages:
        return report, []
    with BagReader(target) as bag:
        return report, [(m.topic, m.log_time_ns, m.data) for m in bag.messages()]


@pytest.mark.parametrize('writer', damage.WRITERS)
def test_one_bad_length_costs_one_message_at_most(writer, tmp_path, capsys):
    """Regressions pinned: one bad record length ended the reading: 244 of 2000 messages kept, and
    exit code 0."""
    path = tmp_path / 'bag.mcap'
    damage.write(path, writer, 2000, chunk_bytes=20_000)
    good = path.read_bytes()
    places = damage.places(good, 2000)
    middle = places[len(places) // 2]
    for number, start in enumerate({middle.record[0], middle.chunk[0]}):
        for wrong in (0, 17, 100_000, 2**40, 2**64 - 1):
            path.write_bytes(good[: start + 1] + struct.pack('<Q', wrong) + good[start + 9 :])
            target = tmp_path / f'{number}_{wrong}'
            code = main(['recover', str(path), '-o', str(target)])
            with BagReader(target) as bag:
                kept = [m.log_time_ns for m in bag.messages()]
            assert len(kept) >= 1999
            assert code == (0 if len(kept) == 2000 else 3)
    assert 'lost:' not in capsys.readouterr().err


def touches(span, damaged):
    return span[0] < damaged[1] and damaged[0] < span[1]


DAMAGE = st.tuples(
    st.sampled_from(sorted(damage.WRITERS)),
    st.sampled_from(['flip', 'zeros', 'cut']),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 3000),
)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=DAMAGE)
@example(case=('no check sums', 'flip', 0.7829692605279307, 1))  # the topic of an index
@example(case=('no summary', 'zeros', 0.578125, 62))  # the head of a chunk, taken for an index
@example(case=('zstd', 'flip', 0.6025110018120632, 8))  # an index that points behind its chunk
@example(case=('no index', 'flip', 0.9626914949815109, 3))  # the name of a type in the summary
@example(case=('no check sums', 'flip', 0.9258954076027247, 8))  # the name of a topic there
@example(case=('no index', 'flip', 0.9685023771790808, 4))  # the type of a topic there
@example(case=('no check sums', 'flip', 0.5023621182157767, 2))  # a place in an index
@example(case=('no summary', 'flip', 0.28777914782846964, 7))  # the kind of record of a chunk
@example(case=('no check sums', 'flip', 0.9620413096022852, 1))  # the place of a chunk
@example(case=('no index', 'flip', 0.9611067089276281, 6))  # a name that is no type's
def test_what_no_damage_has_touched_is_kept_and_losses_are_told(case, tmp_path_factory):
    writer, kind, where, length = case
    path = tmp_path_factory.mktemp('damaged') / 'bag.mcap'
    damage.write(path, writer, MESSAGES)
    good = path.read_bytes()
    places = damage.places(good, MESSAGES)
    start = int(where * len(good))
    bad = bytearray(good)
    damaged = (start, start + 1)
    if kind == 'flip':
        bad[start] ^= 1 << length % 8
    elif kind == 'zeros':
        damaged = (start, min(start + length, len(good)))
        bad[start : damaged[1]] = bytes(damaged[1] - start)
    else:
        del bad[start:]
        damaged = (start, len(good))
    path.write_bytes(bad)

    report, kept = recovered(path, path.parent / 'new')

    assert len(kept) == len(set(kept)), 'a message came twice'
    strange = [message for message in kept if message not in ORIGINAL]
    missing = [number for number, message in enumerate(ORIGINAL) if message not in kept]
    if writer in CHECKED and damaged[1] - damaged[0] == 1:
        assert not strange, 'a damaged message was kept although a check sum says so'
    else:
        hit = sum(touches(place.record, damaged) for place in places)
        assert len(strange) <= hit, 'a message was changed that the damage had not touched'
    if report is not None and len(missing) > len(strange):
        # A message with other bytes in it cannot be told from a right one without a check sum.
        told = report.lost >= len(missing) - len(strange) or report.uncounted
        cut_clean = kind == 'cut' and not report.was_complete
        assert cut_clean or (told and not report.whole)
    # A definition or a topic that only the first chunk holds is lost with it.
    names = writer in ('no summary', 'no index') and start < places[0].chunk[1]
    if writer in PACKED or names:
        untouched = [place for place in places if not touches(place.chunk, damaged)]
        assert kept or names or not untouched
        return
    for number in missing:
        if kind == 'cut':
            assert touches(places[number].record, damaged)
        elif writer in CHECKED:
            assert touches(places[number].chunk, damaged)
        elif kind == 'flip' and not touches(places[number].record, damaged):
            # The index, which has no check sum here, now contradicts messages: one where an entry
            # is damaged, all of its topic in the chunk where the head of the index is.
            untouched = [n for n in missing if not touches(places[n].record, damaged)]
            assert report is not None
            assert len(untouched) <= report.suspect <= len(missing)


def test_suspect_messages_are_kept_when_asked_for(tmp_path, capsys):
    path = tmp_path / 'bag.mcap'
    damage.write(path, 'ours', MESSAGES)
    bad = bytearray(path.read_bytes())
    place = damage.places(bytes(bad), MESSAGES)[MESSAGES // 2]
    bad[place.data[0] + 20] ^= 1
    path.write_bytes(bad)
    with (
        pytest.raises(BagDamaged, match=r'check sum is wrong.*bc recover'),
        BagReader(path) as bag,
    ):
        list(bag.messages())
    report = recover_bag(path, tmp_path / 'safe')
    assert 0 < report.lost < 25
    assert report.lost == report.suspect
    assert main(['recover', str(path), '-o', str(tmp_path / 'all'), '--keep-suspect']) == 3
    assert 'its messages are kept' in capsys.readouterr().out
    with BagReader(tmp_path / 'all') as bag:
        assert bag.message_count == MESSAGES


def test_nothing_to_save_is_exit_code_1(tmp_path, capsys):
    """Regressions pinned: a file of which nothing could be read counted as recovered."""
    path = tmp_path / 'bag.mcap'
    damage.write(path, 'zstd', 20, chunk_bytes=10**6)
    good = path.read_bytes()
    for number, content in enumerate((good[:100], b'', bytes(5000), b'text ' * 100)):
        path.write_bytes(content)
        target = tmp_path / str(number)
        assert main(['recover', str(path), '-o', str(target)]) == 1
        assert not target.exists()
    assert main(['recover', str(tmp_path / 'nothing')]) == 2
    out = capsys.readouterr()
    assert 'nothing could be saved' in out.out
    assert 'is empty; nothing was written into it' in out.err


@pytest.mark.parametrize('kind', ['cut', 'zeros', 'flip'])
def test_damaged_sqlite_keeps_the_other_pages(kind, tmp_path, ros_types):
    """Rows of damaged pages are lost and counted, those of all others are kept."""
    bag = tmp_path / 'bag'
    messages = write_bag(bag, 'sqlite', ros_types)
    (file,) = bag.glob('*.db3')
    database = sqlite3.connect(file)
    more = 40 * COUNT
    database.executemany(
        'INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)',
        [(messages[-1][1] + n, messages[1][2]) for n in range(1, more + 1)],
    )
    database.commit()
    (page,) = database.execute('PRAGMA page_size').fetchone()
    database.close()
    good = file.read_bytes()
    middle = len(good) // page // 2 * page
    bad = {
        'cut': good[:middle],
        'zeros': good[:middle] + bytes(page) + good[middle + page :],
        'flip': good[:middle] + bytes([good[middle] ^ 0x55]) + good[middle + 1 :],
    }[kind]
    file.write_bytes(bad)
    (bag / 'metadata.yaml').unlink()
    if kind == 'cut':
        with pytest.raises(BagDamaged, match=r'never written or copied.*bc recover'):
            BagReader(bag)
    report = recover_bag(bag)
    assert not report.whole
    assert report.messages + report.lost == COUNT + more or report.uncounted
    assert report.messages > (COUNT + more) // (3 if kind == 'cut' else 2)
    with BagReader(report.path) as reader:
        assert sum(1 for m in reader.messages() if m.decode()) == report.messages
