# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from xml.etree import ElementTree

from bc_runtime.evaluation.claims_report import claim_chart, count_table, value_table


def test_count_table_gives_intervals():
    table = count_table('delay, s', (0.05, 0.2), {'newest': [(10, 10), (0, 10)]})
    assert table.splitlines() == [
        '| delay, s | 0.05 | 0.2 |',
        '| --- | --- | --- |',
        '| newest | 10/10 (72%-100%) | 0/10 (0%-28%) |',
    ]


def test_count_table_of_one_column_names_it_success():
    assert '|  | success |' in count_table('', (0.0,), {'flow': [(1, 2)]})


def test_value_table_gives_numbers():
    assert '| one | 0.100 | 0.250 |' in value_table('step', (1.0, 2.0), {'one': [0.1, 0.25]})


def test_chart_is_one_picture_with_a_line_for_each_row():
    picture = claim_chart(
        {'a < b': [0.0, 1.0], 'c': [0.5, 0.5]},
        columns=(1.0, 2.0),
        title='Title',
        variable='steps',
        highest=1.0,
    )
    root = ElementTree.fromstring(picture)
    lines = [each for each in root.iter() if each.tag.endswith('polyline')]
    assert len(lines) == 2
    words = [each.text for each in root.iter() if each.tag.endswith('text')]
    assert {'Title', 'a < b', 'c', 'steps', '0%', '100%'} <= set(words)
    heights = [float(point.split(',')[1]) for point in lines[0].get('points').split()]
    assert heights[0] > heights[1]
