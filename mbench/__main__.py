"""Entry point of the command `mbench` and of `python -m mbench`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    try:
        from mbench.cli import ending
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    ending.end(_command_line, of_process=True)


def _command_line() -> int:
    from mbench.cli import main

    return main.command_line()


if __name__ == "__main__":
    main()
