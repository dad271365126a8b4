# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import dataclasses
from html.parser import HTMLParser
import io
import re

from PIL import Image
import pytest

from bc_runtime.evaluation.report import write_report
from bc_runtime.evaluation.summary import summarize_demo
from bc_runtime.recording.labels import EpisodeLabels, Outcome
from bc_runtime.recording.metadata import replace_custom_data

VOID = {'meta', 'br', 'link', 'img'}


class Page(HTMLParser):
    """Reads the report as a browser would; complains about tags that do not close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.scripts = [], [], [], 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.scripts += tag == 'script'
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return ' '.join(self.words)


@dataclasses.dataclass
class FakeTrial:
    bag: str
    success: bool
    seed: int = 10_000
    instruction: str = 'put the red cube in the tray'
    wrong_object: bool = False
    duration_s: float = 2.0
    termination: str = 'success'


@pytest.fixture(scope='module')
def run(make_episode, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    good = make_episode(folder, 'good')
    bad = make_episode(folder, 'bad', outcome=Outcome.FAILURE, fault_at_s=1.0)
    lost = folder / 'lost'
    summary = summarize_demo(
        [FakeTrial(str(good), True), FakeTrial(str(bad), False), FakeTrial(str(lost), False)],
        memory_bytes=800_000_000,
    )
    return summary, [good, bad, lost]


@pytest.fixture(scope='module')
def page(run, tmp_path_factory):
    path = tmp_path_factory.mktemp('page') / 'new' / 'report.html'
    write_report(path, *run)
    assert [child.name for child in path.parent.iterdir()] == ['report.html']
    return Page(path.read_text(encoding='utf-8'))


def test_report_needs_nothing_from_outside(page):
    assert page.scripts == 0
    assert page.all('link') == []
    for attributes in [a for _, a in page.tags]:
        for key in ('src', 'href'):
            value = attributes.get(key) or ''
            assert value == '' or value.startswith(('#', 'data:image/jpeg;base64,'))
    assert '@import' not in page.text
    assert 'url(' not in page.text


def test_report_says_the_result_and_how_sure_it_is(page):
    assert '1 of 3 trials succeeded' in page.text
    assert '95 % interval 6% to 79%' in page.text
    assert '100.0 Hz' in page.text
    assert 'no tick missed' in page.text
    assert '800 MB' in page.text
    assert 'sim_arm_act' in page.text
    assert 'numpy' in page.text


def test_report_lists_every_trial_and_what_could_not_be_read(page):
    links = {a['href'] for a in page.all('a')}
    assert links == {'#good', '#bad'}
    assert {a.get('id') for a in page.all('summary')} == {'good', 'bad'}
    assert 'failure' in page.text
    assert 'no bag at' in page.text


def test_report_shows_pictures_of_both_cameras(page):
    images = [a['href'] for a in page.all('image')]
    assert len(images) == 2 * 2 * 7
    for uri in images:
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2])))
        assert (picture.format, picture.size) == ('JPEG', (300, 225))
    assert {'front', 'wrist'} <= set(page.words)


def test_report_shows_states_chunks_and_joints(page):
    classes = [a.get('class') or '' for a in page.all('rect')]
    assert sum('state-AUTO' in c for c in classes) == 2
    assert sum('state-FAULT' in c for c in classes) == 1
    assert sum(attributes.get('class') == 'events' for attributes in page.all('ul')) == 1
    assert page.text.count('camera <front> sent nothing') == 1  # not that of an earlier episode
    titles = [t for t in page.words if re.match(r'AUTO: \d', t)]
    assert len(titles) == 2
    lines = [a['class'] for a in page.all('polyline')]
    assert lines.count('l-chunk') > 40
    # Whole episode, close-up and one small chart per joint; commanded and measured; 2 episodes.
    assert lines.count('l-command') == lines.count('l-measured') == 2 * (2 + 3)
    assert {'joint_1 [rad]', 'joint_2 [rad]', 'gripper [m]'} <= set(page.words)


def test_report_never_lets_words_become_markup(make_episode, tmp_path):
    bag = make_episode(tmp_path, 'x', seconds=1.0, images=False)
    evil = '<script>alert("&")</script>'
    labels = EpisodeLabels(id='a"><b', instruction=evil, note=evil, termination=evil)
    replace_custom_data(bag, labels.to_custom_data())
    write_report(tmp_path / 'r.html', summarize_demo([FakeTrial(str(bag), True)]), [bag])
    found = Page((tmp_path / 'r.html').read_text(encoding='utf-8'))
    assert found.scripts == 0
    assert evil in found.text


@pytest.mark.parametrize('options', [{'images': False}, {'status': False}, {'seconds': 0.05}])
def test_report_of_a_poor_bag_leaves_out_what_is_not_there(make_episode, tmp_path, options):
    bag = make_episode(tmp_path, 'poor', **options)
    write_report(tmp_path / 'r.html', summarize_demo([FakeTrial(str(bag), True)]), [bag])
    found = Page((tmp_path / 'r.html').read_text(encoding='utf-8'))
    assert 'poor' in found.text
    assert 'nan' not in found.text.lower().replace('provenance', '')


def test_report_of_no_trials(tmp_path):
    write_report(tmp_path / 'r.html', summarize_demo([]), [])
    assert '0 of 0 trials' in Page((tmp_path / 'r.html').read_text(encoding='utf-8')).text


def test_report_shows_failures_in_detail_before_further_successes(make_episode, tmp_path):
    bags = [make_episode(tmp_path, f'good_{n}', seconds=0.5, images=False) for n in range(3)]
    bags.append(make_episode(tmp_path, 'bad', seconds=0.5, images=False, outcome=Outcome.FAILURE))
    summary = summarize_demo([FakeTrial(str(bag), True) for bag in bags])
    write_report(tmp_path / 'r.html', summary, bags, details=2)
    found = Page((tmp_path / 'r.html').read_text(encoding='utf-8'))
    assert [a['id'] for a in found.all('summary')] == ['good_0', 'bad']
    assert [('open' in a) for a in found.all('details')] == [True, False]
