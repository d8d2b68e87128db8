"""What everything else stands on: errors, records, units, statistics, processes. Imports nothing else of mbench."""
