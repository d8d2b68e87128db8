"""Which network fits a device: candidates, a model of their layers, and the search that measures what decides."""
