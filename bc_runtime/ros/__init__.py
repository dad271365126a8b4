# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The only place that imports rclpy or any message: thin nodes around the pure cores."""
