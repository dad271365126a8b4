# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the literature of behavioural cloning claims, tried out in small; `bc bench claims`.

* `result`: what a trial of a claim gives
* `plane`: two tasks of a point in the plane, with their experts
* `learner`: a head of `families` as a policy of the plane
* `planar`: claims that the plane can show: chunking, one action or one of several
* `delay`: a claim that needs the stack: strategies against inference delay, on the simulated arm
"""
