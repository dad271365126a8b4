# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The isolation that conftest.py promises to every ROS test."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def test_each_test_gets_its_own_domain(ros_domain: int) -> None:
    assert os.environ['ROS_DOMAIN_ID'] == str(ros_domain)
    assert 1 <= ros_domain <= 100
    assert os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'


@pytest.mark.ros
def test_domains_do_not_hear_each_other(ros_domain: int) -> None:
    """A publisher in one domain is not seen in the neighbouring one."""
    program = (
        'import os, rclpy\n'
        'from rclpy.context import Context\n'
        'from std_msgs.msg import Empty\n'
        'here, there = int(os.environ["ROS_DOMAIN_ID"]), int(os.environ["OTHER"])\n'
        'nodes, topic = [], f"word_{os.getpid()}"\n'
        'for name, domain in (("talk", here), ("hear", here), ("far", there)):\n'
        '    context = Context()\n'
        '    rclpy.init(context=context, domain_id=domain)\n'
        '    nodes.append(rclpy.create_node(name, context=context))\n'
        'talk, hear, far = nodes\n'
        'publisher = talk.create_publisher(Empty, topic, 1)\n'
        'subscriptions = [n.create_subscription(Empty, topic, print, 1) for n in (hear, far)]\n'
        'while publisher.get_subscription_count() < 1:\n'
        '    pass\n'
        'print(publisher.get_subscription_count())\n'
        'print(len(far.get_publishers_info_by_topic(f"/{topic}")))\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'OTHER': str(ros_domain % 100 + 1)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.stdout.split() == ['1', '0'], result.stderr
