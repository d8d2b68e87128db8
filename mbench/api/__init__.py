"""The public API, a module for each thing that it does; `mbench` itself is its only door.

run           measure networks, or go on with an interrupted run
sweep         measure many networks at many places, and go on with that; where it stands
fit           the network that fits a device's limits; what networks would cost by what is known
tune          find quicker ways to make kernels
report        records, what fit found, or where a sweep stands, as a page
gate          two runs against each other: compare, gate
history       a store of records: open it, add to it, load tables of it
changes       where the series of a store changed, and whether they became worse
history_site  a store as a site of static pages, written or served
listing       networks, targets, devices with names, and what this machine can do
notebook      how a record shows itself

The command line is the first client of this package. Nothing here prints, and nothing ends the process.
"""

from __future__ import annotations

from mbench.api import notebook

notebook.register()
