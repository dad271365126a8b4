# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What ROS 2 allows in names of topics, namespaces and message types.

Rules of https://design.ros2.org/articles/topic_and_service_names.html; rcl refuses other names
only when a node that uses them is made. Joints, cameras and inputs of policies are no ROS names:
dashes and spaces are allowed in them.
"""

from __future__ import annotations

import re

#: rmw allows 247 characters with the namespace; a topic that long is a mistake.
MAX_LENGTH = 200

_TOKEN = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_TYPE = re.compile(r'[a-z][a-z0-9_]*(/msg)?/[A-Z][A-Za-z0-9]*')
_PLACES = re.compile(r'\{(node|ns|namespace)\}')


def topic_problem(name: str) -> str:
    """Return why a name is no ROS topic; empty if it is one. It may begin with `/` or `~/`."""
    return _problem(_PLACES.sub('x', name.removeprefix('~/').removeprefix('/')), 'a topic')


def namespace_problem(name: str) -> str:
    """Return why a name is no ROS namespace; empty if it is one, or none is given."""
    bare = name.removeprefix('/')
    return _problem(bare, 'a namespace') if bare else ''


def message_type_problem(name: str) -> str:
    """Return why a text is no message type such as `geometry_msgs/msg/WrenchStamped`."""
    if _TYPE.fullmatch(name):
        return ''
    return f'{name!r} is no message type; expected e.g. geometry_msgs/msg/WrenchStamped'


def _problem(bare: str, what: str) -> str:
    if len(bare) > MAX_LENGTH:
        return f'{bare[:40]!r}... is longer than {MAX_LENGTH} characters, which ROS cannot carry'
    wrong = [token for token in bare.split('/') if not _TOKEN.fullmatch(token)]
    if not wrong:
        return ''
    token = wrong[0]
    if not token:
        why = 'there is nothing before, between or after its slashes'
    elif token[0].isdigit():
        why = f'its part {token!r} begins with a digit'
    else:
        bad = next(letter for letter in token if not re.fullmatch('[A-Za-z0-9_]', letter))
        why = f'its part {token!r} has {bad!r} in it'
    better = '/'.join(_repaired(each) for each in bare.split('/') if each)
    return (
        f'{bare!r} is no name that ROS takes for {what}: {why}; letters, digits and _ are '
        f'allowed, and / between parts{f", e.g. {better}" if better else ""}'
    )


def _repaired(token: str) -> str:
    plain = re.sub('[^A-Za-z0-9_]', '_', token)
    return f'_{plain}' if plain[0].isdigit() else plain
