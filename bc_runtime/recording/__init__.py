# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk: MCAP rosbag2 bags, written and read without ROS.

One episode is one bag directory `<id>/` with `<id>_0.mcap` and `metadata.yaml`. Messages go in as
the raw CDR bytes that came off the wire, so nothing in here needs a message package.
"""
