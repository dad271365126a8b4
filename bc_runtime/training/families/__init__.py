# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Policy families on the simulated arm, all on the image encoders of one trained policy.

Every family sees through the same two encoders, taken with their weights from an exported policy
(of the family chunk, or any that holds them: `models/sim_arm_act.onnx`), and differs in what comes
after them. Their features are computed
once, so that a family trains in minutes on one core, and families differ by nothing else.

* `vision`: the encoders, read from a policy file
* `table`: features of all demonstrations, kept on disk
* `scaling`: actions to network units and back
* `act`: the transformer of ACT, made of the blocks in `transformer`
* `mlp`, `diffusion`, `flow`, `gmm`, `rt1`: one head each; `denoiser` is shared by two of them
* `members`: the perceptrons of `mlp`
* `network`: encoders and head as one module, as it is exported
* `recipe`: every number that a training depends on
* `contract`: what the policies take and give
* `trainer`: batches for the optimiser loop
* `run`: all of it, to the exported file
"""
