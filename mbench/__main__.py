"""Entry point of the command `mbench` and of `python -m mbench`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    try:
        from mbench.cli import ending
        from mbench.core import signals
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    try:
        ending.end(_command_line)
    finally:
        signals.ignore()


def _command_line() -> int:
    from mbench.cli import main

    return main.command_line()


if __name__ == "__main__":
    main()
