# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The steering policy of the lane car: camera in, Twist out, as ALVINN did it.

* `network`: a small convolutional network, from a picture to a velocity of the body
* `contract`: what the policy takes and gives
* `run`: demonstrations, training and export in one call
* `trials`: rounds on unseen roads, in simulated time
"""
