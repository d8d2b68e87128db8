"""The command line: one module a command; `main` holds the group and decides exit codes. Alone prints and exits."""
