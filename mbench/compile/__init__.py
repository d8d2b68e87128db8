"""From a network to a compiled artifact: lowering, schedules, build. Importing this package imports no tvm."""
