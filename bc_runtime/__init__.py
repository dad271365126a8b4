# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Deploy behaviour-cloned robot policies on ROS 2.

Importing this package imports neither ROS nor any inference framework; the sub-packages are the
stations on the way of the data: spec, observation, policy, execution, safety, recording.
"""

__version__ = '0.1.0'
