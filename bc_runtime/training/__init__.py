# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The reference trainer: demonstrations of the simulated arm -> a small chunking policy.

Import from the modules; this package imports nothing by itself. Only `network`, `loss`,
`optimiser`, `trainer`, `checkpoint`, `run` and `families` need torch.

* `recipe`: every number that a training depends on
* `sim_arm`: what the trained policies take and give
* `demonstration_set`: recorded steps as arrays, with their chunks and ranges
* `collection`: episodes of the expert, kept on disk
* `network`: `ChunkPolicy`
* `loss`: what is minimised
* `optimiser`: the optimiser loop of every training
* `trainer`: the training of the family chunk, whose encoders the other families take
* `checkpoint`: weights and facts in one npz
* `run`: all of it, to the exported file
* `trials`: closed-loop trials under named conditions of a deployment
* `deployment_model`: a deployment in simulated time
"""
