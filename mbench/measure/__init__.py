"""Probes: each module measures one thing of an artifact on a device, or works out one figure from what was measured.

`program`, `numerics`, `latency`, `memory`, `meters`, `calibrate` run where the compiled code runs (a worker process).
`energy` and `roofline` are arithmetic over samples and a target's figures; they run anywhere.
"""
