"""A team's memory: a store of records, one series for each thing that was measured, and where a series changed.

series    what a series is, its points, and what was found to have changed in it
store     records in a file of SQLite or in PostgreSQL; identity and quantities say which series they have
changes   where series changed: size, commits, and in change_causes what may explain it
check     whether they became worse of late; shown: that, and charts, for the terminal
publish   the history as a site of static pages; serve: the same on this machine, following the store
"""
