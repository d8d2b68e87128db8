"""A team's memory: a store of records, one series for each thing that was measured, and where a series changed.

series    what a series is, its points, and what was found to have changed in it
"""
