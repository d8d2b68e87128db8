"""Building side by side: networks compiled in child processes, and kept by the digest of what made them."""
