"""Entry point of the command `mbench` and of `python -m mbench`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from mbench.cli import run_command_line

    run_command_line()


if __name__ == "__main__":
    main()
