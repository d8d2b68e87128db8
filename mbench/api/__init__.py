"""The public API, a module for each thing that it does; `mbench` itself is its only door.

run      measure networks, or go on with an interrupted run
fit      the network that fits a device's limits; what networks would cost by what is known
tune     find quicker ways to make kernels
report   records, or what fit found, as a page
gate     two runs against each other: compare, gate
changes  where the series of a store changed, and whether they became worse
listing  networks, targets, devices with names, and what this machine can do
notebook how a record shows itself

The command line is the first client of this package. Nothing here prints, and nothing ends the process.
"""

from __future__ import annotations

from mbench.api import notebook

notebook.register()
