"""Tuning: candidates for each kernel compiled, timed, confirmed in their networks, and kept in files of choices."""
