"""A run: a job, its builds, what devices observe, the results that follow, the record."""
