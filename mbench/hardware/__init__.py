"""Hardware: targets and where their figures come from, this machine, its GPU, and the toolchains for them."""
