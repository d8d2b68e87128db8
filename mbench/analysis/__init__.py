"""What follows from measurements and counts: roofline, models of energy and latency, pairs, the waterfall, frames."""
