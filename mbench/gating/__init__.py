"""The gate: two runs compared, and whether the second is worse. Reads records; needs neither torch nor tvm.

sides      BASE and HEAD as they were given: records, each run once, and the artifacts beside them
asked      what the two runs were asked for, and what of it can be judged;  coverage  what no way took
comparable what the two runs do not share, and which ways of comparing that forbids
matching   which layer of one is which of the other;  groups  sums of them by role and block
limits     thresholds and sensitivities;  acceptance  changes that were agreed to
exact      counts, memory, sizes;  recorded, paired  latencies
causes     what else differs where something changed
verdict    all of it, judged;  baseline  the head in the base's place
"""
