# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the pages say is so: links lead somewhere, YAML loads, commands parse, errors are ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import functools
from pathlib import Path
import re
import shlex

import pytest
import yaml

from bc_runtime.cli.main import VERBS, make_parser
from bc_runtime.deployment import ARGUMENTS
from bc_runtime.export.compose import read_normalization
from bc_runtime.export.lerobot.declaration import read_declaration
from bc_runtime.policy.remote.contract import read_remote_file
from bc_runtime.spec import PolicySpec, RobotConfig

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'
PAGES = sorted([*DOCS.rglob('*.md'), *ROOT.glob('*.md')])
TUTORIAL = DOCS / 'tutorials' / 'first_robot.md'
BLOCK = re.compile(r'^( *)```(\w*)[^\n]*\n(.*?)^ *```', re.DOTALL | re.MULTILINE)
LINK = re.compile(r'(?<!!)\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*src="([^"]+)"|!\[[^\]]*\]\(([^)\s]+)\)')
SPAN = re.compile(r'`([^`\n]+)`')
SHELLS = ('bash', 'console', 'sh', '')


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield (language, text) of the code blocks of a page."""
    for indent, language, text in BLOCK.findall(page.read_text(encoding='utf-8')):
        yield language, re.sub(rf'^{indent}', '', text, flags=re.MULTILINE)


def prose(page: Path) -> str:
    return BLOCK.sub('', page.read_text(encoding='utf-8'))


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: dict[str, int] = {}
    for title in re.findall(r'^#+ +(.+?)\s*$', prose(page), re.MULTILINE):
        text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', title).lower()
        slug = re.sub(r'[^\w\- ]', '', text).replace(' ', '-')
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f'{slug}-{count}'] = 1
    return frozenset(found)


def links(page: Path) -> list[str]:
    targets = [next(filter(None, match)) for match in LINK.findall(prose(page))]
    return [target for target in targets if not re.match(r'[a-z]+:', target)]


def test_there_are_pages() -> None:
    assert len(PAGES) > 20


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and target.suffix == '.md' and anchor not in anchors(target)
        ):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, todo = set(), [DOCS / 'index.md']
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != '.md' or not page.is_file():
            continue
        seen.add(page)
        todo += [(page.parent / link.partition('#')[0]).resolve() for link in links(page)]
    assert set(DOCS.rglob('*.md')) <= seen


# YAML ------------------------------------------------------------------------------------------

ROBOT_KEYS = {
    'joints', 'joint_states', 'cameras', 'streams', 'instruction_topic', 'command', 'human',
    'tolerances',
}  # fmt: skip


def yaml_blocks() -> list[tuple[Path, str]]:
    return [
        (page, text) for page in PAGES for language, text in blocks(page) if language == 'yaml'
    ]


def tutorial_block(marker: str) -> str:
    return next(
        text for language, text in blocks(TUTORIAL) if language == 'yaml' and marker in text
    )


@pytest.mark.parametrize(('page', 'text'), yaml_blocks(), ids=lambda v: getattr(v, 'name', ''))
def test_yaml_is_a_robot_a_policy_or_parameters(
    page: Path, text: str, tables: object, tmp_path: Path
) -> None:
    value = yaml.safe_load(text)
    if all(isinstance(v, dict) and 'ros__parameters' in v for v in value.values()):
        check_parameters(value, tables)
    elif value.get('backend') == 'remote':
        (tmp_path / 'pi.remote.yaml').write_text(text, encoding='utf-8')
        read_remote_file(tmp_path / 'pi.remote.yaml')
    elif isinstance(value.get('inputs'), dict) and 'control_hz' not in value:
        for kind, content in (('spec', policy_example(page)), ('norms', text)):
            (tmp_path / f'{kind}.yaml').write_text(content, encoding='utf-8')
        spec = PolicySpec.from_yaml_file(tmp_path / 'spec.yaml')
        assert read_normalization(tmp_path / 'norms.yaml', spec).inputs
    elif isinstance(value.get('inputs'), dict):
        (tmp_path / 'declaration.yaml').write_text(text, encoding='utf-8')
        read_declaration(tmp_path / 'declaration.yaml')
    elif 'inputs' in value:
        (tmp_path / 'spec.yaml').write_text(text, encoding='utf-8')
        PolicySpec.from_yaml_file(tmp_path / 'spec.yaml')
    elif set(value) == {'sampling'}:  # a part of a policy, read by test/spec
        assert page.name == 'policy_file.md'
    elif 'schema_version' in value:
        RobotConfig.from_yaml(text)
    else:  # a part of a robot
        assert set(value) <= ROBOT_KEYS, f'{name(page)}: what is this YAML? {sorted(value)}'
        RobotConfig.from_yaml(yaml.safe_dump(yaml.safe_load(tutorial_block('joints:')) | value))


def policy_example(page: Path) -> str:
    """Return the policy spec that a page shows."""
    return next(text for kind, text in blocks(page) if kind == 'yaml' and 'control_hz' in text)


def test_the_shipped_parameters_exist(tables: object) -> None:
    check_parameters(yaml.safe_load((ROOT / 'config/deploy.yaml').read_text('utf-8')), tables)


def check_parameters(value: dict[str, dict[str, dict[str, object]]], tables: object) -> None:
    """Every node, parameter, type and range is one that is declared."""
    owned = {argument.name for argument in ARGUMENTS}
    for pattern, section in value.items():
        node = pattern.rsplit('/', 1)[-1]
        declared = {each['name']: each for each in tables.parameters(node)}
        for key, given in section['ros__parameters'].items():
            assert key in declared, f'{node} has no parameter {key}'
            assert key not in owned, f'{key} belongs to the launch arguments'
            assert type(given) is type(declared[key]['default']), f'{node}: {key}: {given!r}'
            if declared[key].get('minimum') is not None:
                assert declared[key]['minimum'] <= given <= declared[key]['maximum'], key


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_python_compiles_and_imports_what_exists(page: Path) -> None:
    for language, text in blocks(page):
        if language == 'python':
            for node in ast.walk(compile(text, str(page), 'exec', ast.PyCF_ONLY_AST)):
                if isinstance(node, ast.ImportFrom) and (node.module or '').startswith(
                    'bc_runtime'
                ):
                    file = ROOT / node.module.replace('.', '/')
                    source = file.with_suffix('.py')
                    source = source if source.is_file() else file / '__init__.py'
                    known = source.read_text(encoding='utf-8')
                    for alias in node.names:
                        assert re.search(rf'\b{alias.name}\b', known), alias.name


# Commands ---------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of every `bc` and `ros2` command in a page's shell blocks."""
    for language, text in blocks(page):
        if language in SHELLS:
            for line in text.replace('\\\n', ' ').splitlines():
                words = words_of(line)
                if words and words[0] in ('bc', 'ros2'):
                    yield words


def words_of(line: str) -> list[str]:
    """Return the words of a shell line from `bc` or `ros2` on, or nothing."""
    try:
        words = shlex.split(line.strip().removeprefix('$ '), comments=True)
    except ValueError:
        return []
    while words and re.fullmatch(r'[A-Z_]+=\S*|scripts/run|sudo', words[0]):
        words.pop(0)
    return words


def parses(words: list[str]) -> bool:
    try:
        make_parser().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_bc_commands_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for words in command_lines(page):
        if words[0] == 'bc' and '...' not in words and not parses(words[1:]):
            wrong.append(shlex.join(words))
    assert not wrong, capsys.readouterr().err


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_bc_verbs_in_the_text_exist(page: Path) -> None:
    spans = [words_of(span) for span in SPAN.findall(prose(page))]
    verbs = {w[1] for w in spans if len(w) > 1 and w[0] == 'bc' and re.fullmatch('[a-z]+', w[1])}
    assert verbs <= set(VERBS)


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_ros2_commands_name_what_exists(page: Path, tables: object, topics: object) -> None:
    arguments = {argument.name for argument in ARGUMENTS}
    for words in command_lines(page):
        if words[:4] == ['ros2', 'launch', 'bc_runtime', 'deploy.launch.py']:
            given = {word.partition(':=')[0] for word in words[4:] if ':=' in word}
            assert given <= arguments, words
        elif words[1:3] == ['param', 'set']:
            node, key = words[3].rsplit('/', 1)[-1], words[4]
            found = [p for p in tables.parameters(node) if p['name'] == key]
            assert found and not found[0].get('read_only'), words
        elif words[1:3] == ['service', 'call']:
            assert topics.service_type(words[3]) == words[4], words
            yaml.safe_load(words[5]) if len(words) > 5 else None


# Errors -----------------------------------------------------------------------------------------

#: Said by rclpy and Python, not by us.
FOREIGN = (
    'Invalid parameter value',
    'Trying to set parameter … of type',
    'Trying to set a read-only parameter',
    'Invalid topic name: topic name must not be empty string',
    "'…' is not a valid Interpolation",
    "'…' is not a valid TriggerMode",
)


def plain(text: str) -> str:
    """Return a text whose quotes all look alike."""
    return text.replace('"', "'")


def template(node: ast.JoinedStr) -> str:
    """Return the text of an f-string, with … for what is filled in."""
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        else:
            parts.append("'…'" if getattr(part, 'conversion', -1) == ord('r') else '…')
    return ''.join(parts)


@functools.cache
def said() -> tuple[str, ...]:
    """Return every text of the code."""
    texts = []
    for file in (ROOT / 'bc_runtime').rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                texts.append(plain(template(node)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(plain(node.value))
    return tuple(texts)


def is_said(message: str) -> bool:
    """Return whether some text of the code has the parts of a message in their order."""
    parts = [part for part in re.split('…', plain(message)) if part.strip(" .:'(")]
    pattern = re.compile('.*?'.join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in said())


def quoted_messages() -> list[str]:
    page = (DOCS / 'how-to' / 'troubleshooting.md').read_text(encoding='utf-8')
    cells = re.findall(r'^\| (`.+?) \|', page, re.MULTILINE)
    spans = [span for cell in cells for span in SPAN.findall(cell)]
    return [span for span in spans if ' ' in span and span not in FOREIGN]


@pytest.mark.parametrize('message', quoted_messages())
def test_quoted_errors_are_said_by_the_code(message: str) -> None:
    assert is_said(message)


def test_a_quoted_error_that_nobody_says_is_found() -> None:
    assert len(quoted_messages()) > 30
    assert not is_said("there is no robot '…': expected a JSON file")


# Changes ----------------------------------------------------------------------------------------


def test_the_changelog_is_as_rep_132_wants_it() -> None:
    lines = (ROOT / 'CHANGELOG.rst').read_text(encoding='utf-8').splitlines()
    assert lines[1] == 'Changelog for package bc_runtime' and set(lines[2]) == {'^'}
    titles = [i for i, line in enumerate(lines) if line and set(line) == {'-'}]
    assert titles
    for i in titles:
        assert re.fullmatch(r'Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)', lines[i - 1])
    for line in lines[titles[0] + 1 :]:
        assert (
            not line
            or line.startswith(('* ', '  '))
            or line in {lines[i - 1] for i in titles}
            or set(line) == {'-'}
        )
