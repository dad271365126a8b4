# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.evaluation.charts import Line, histogram, interval_bar, line_chart
from bc_runtime.evaluation.episode_chart import picture_times
from bc_runtime.evaluation.statistics import Interval
from bc_runtime.evaluation.svg import Scale, padded, tag, text, thin, tick_label, ticks

SVG = '{http://www.w3.org/2000/svg}'
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(deadline=None)
@given(finite, st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_inside_and_not_too_many_property(low, span, count):
    high = low + span
    found = ticks(low, high, count)
    assert len(found) <= count + 1
    tolerance = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - tolerance <= value <= high + tolerance for value in found)
    if span > 1e-9 * abs(low) and len(found) > 1:
        step = found[1] - found[0]
        mantissa = step / 10 ** math.floor(math.log10(step * (1 + 1e-6)))
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-3 * (1 + tolerance / step)


def test_ticks_and_labels_of_usual_ranges():
    assert ticks(-1.06, 1.06) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert [tick_label(v, 0.02) for v in ticks(0.004, 0.09)] == ['0.02', '0.04', '0.06', '0.08']
    assert ticks(3.0, 3.0) == [3.0]
    assert tick_label(15.0, 5.0) == '15'


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=3000), st.integers(1, 50))
def test_thin_keeps_the_extremes_and_the_order_property(values, buckets):
    t = np.arange(len(values), dtype=float)
    found_t, found = thin(t, np.array(values), buckets)
    assert len(found) <= max(2 * buckets, 1)
    assert found.min() == min(values)
    assert found.max() == max(values)
    assert (np.diff(found_t) > 0).all()


def test_thin_leaves_out_what_is_not_a_number():
    t, values = thin(np.arange(4.0), np.array([1.0, np.nan, 3.0, np.inf]))
    assert (t.tolist(), values.tolist()) == ([0.0, 2.0], [1.0, 3.0])


def test_scale_and_range():
    scale = Scale(0.0, 10.0, 100.0, 0.0)
    assert (scale(0.0), scale(10.0), scale(5.0)) == (100.0, 0.0, 50.0)
    assert Scale(1.0, 1.0, 7.0, 9.0)(1.0) == 7.0
    low, high = padded([np.array([1.0, np.nan, 3.0])])
    assert low < 1.0 < 3.0 < high
    assert padded([np.array([])]) == (0.0, 1.0)
    low, high = padded([np.full(3, 0.5)])
    assert low < 0.5 < high
    assert padded([np.array([0.4, 0.5])], least=1.0) == pytest.approx((-0.05, 0.95))


def test_text_is_escaped():
    assert '<b>' not in text(0, 0, '<b>&"', 'x')
    assert tag('g', title='"<') == '<g title="&quot;&lt;"/>'


def test_line_chart_is_well_formed_and_draws_in_its_frame():
    t = np.linspace(0.0, 10.0, 1001)
    svg = line_chart(
        [Line(t_s=t, values=np.sin(t), style='l-command')],
        title='joint_1 <rad>',
        label='a & b',
        width=300.0,
        height=150.0,
        span_s=(2.0, 4.0),
        shaded_s=(3.0, 9.0),
    )
    root = ElementTree.fromstring(svg)
    assert root.attrib['aria-label'] == 'a & b'
    (line,) = root.iter(f'{SVG}polyline')
    points = [tuple(map(float, p.split(','))) for p in line.attrib['points'].split()]
    assert len(points) == 203  # those of the span and one on each side
    assert all(22.0 <= y <= 128.0 for _, y in points)
    assert min(x for x, _ in points) >= 40.0
    words = [''.join(element.itertext()) for element in root.iter(f'{SVG}text')]
    assert 'joint_1 <rad>' in words
    assert '4 s' in words


def test_histogram_shows_shares_and_percentiles():
    rng = np.random.default_rng(1)
    samples = {'fast': rng.normal(20.0, 1.0, 500), 'slow': np.array([np.nan, *[45.0] * 10])}
    svg = histogram(
        samples, styles={'fast': 'c-inference', 'slow': 'c-latency'}, width=800.0, height=200.0
    )
    root = ElementTree.fromstring(svg)
    words = ' '.join(''.join(element.itertext()) for element in root.iter(f'{SVG}text'))
    assert len(re.findall('p50', words)) == len(re.findall('p99', words)) == 2
    assert 'p50 20 ms' in words
    assert 'p99 45 ms' in words
    (slow,) = [g for g in root.iter(f'{SVG}g') if 'c-latency' in g.attrib.get('class', '')]
    assert len(list(slow)) == 1


@pytest.mark.parametrize('samples', [{}, {'a': np.array([])}, {'a': np.array([np.nan])}])
def test_histogram_of_nothing_is_empty(samples):
    assert histogram(samples, styles={'a': ''}, width=1.0, height=1.0) == ''


def test_histogram_labels_near_the_origin_are_one():
    samples = {'a': np.array([1.0, 2.0, 3.0]), 'b': np.linspace(80.0, 200.0, 50)}
    svg = histogram(samples, styles={'a': 'x', 'b': 'y'}, width=800.0, height=100.0)
    words = [''.join(e.itertext()) for e in ElementTree.fromstring(svg).iter(f'{SVG}text')]
    assert 'p50 2 ms, p99 3 ms' in words
    assert 'p50 140 ms' in words


def test_histogram_of_zeros_does_not_divide_by_zero():
    ElementTree.fromstring(
        histogram({'a': np.zeros(3)}, styles={'a': 'x'}, width=100.0, height=50.0)
    )


def test_interval_bar_places_the_rate_inside_its_interval():
    root = ElementTree.fromstring(interval_bar(0.8, Interval(low=0.49, high=0.94), width=212.0))
    (dot,) = root.iter(f'{SVG}circle')
    lines = {e.attrib['class']: e.attrib for e in root.iter(f'{SVG}line')}
    assert float(dot.attrib['cx']) == 6 + 0.8 * 200
    assert float(lines['interval']['x1']) == 104.0
    assert float(lines['interval']['x2']) == 194.0
    assert '49% to 94%' in root.attrib['aria-label']


def test_picture_times_are_middles():
    assert picture_times(10.0, 5) == [1.0, 3.0, 5.0, 7.0, 9.0]
