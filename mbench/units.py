"""Numbers for people: SI values scaled and labelled. The only place where seconds become ms and bytes become MB."""

from __future__ import annotations

_DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
NOT_AVAILABLE = "–"


def scaled(value: float | None, unit: str, digits: int = 3) -> str:
    """Return `value` (in `unit`) with an SI prefix and `digits` significant digits: 0.0035 s → `3.50 ms`."""
    if value is None:
        return NOT_AVAILABLE
    if value == 0:
        return f"0 {unit}"
    factor, prefix = next(((f, p) for f, p in _DECIMAL if abs(value) >= f * 0.9995), _DECIMAL[-1])
    number = value / factor
    decimals = max(0, digits - len(str(int(abs(number)))))
    return f"{number:.{decimals}f} {prefix}{unit}"


def seconds(value: float | None) -> str:
    """Return a duration: `3.50 ms`."""
    return scaled(value, "s")


def joules(value: float | None) -> str:
    """Return an energy: `12.3 mJ`."""
    return scaled(value, "J")


def data_size(value: float | None) -> str:
    """Return a size in decimal bytes: `16.9 MB`."""
    return scaled(value, "B")


def flops_rate(value: float | None) -> str:
    """Return a rate of floating-point operations: `234 GFLOP/s`."""
    return scaled(value, "FLOP/s")


def bytes_rate(value: float | None) -> str:
    """Return a bandwidth: `21.3 GB/s`."""
    return scaled(value, "B/s")


def count(value: float | None) -> str:
    """Return a count with an SI suffix and no unit: 568740352 → `569 M`."""
    return scaled(value, "").rstrip()


def percent(value: float | None, decimals: int = 1) -> str:
    """Return a fraction as a percentage: 0.9486 → `94.9 %`."""
    return NOT_AVAILABLE if value is None else f"{100 * value:.{decimals}f} %"


def ratio(value: float | None) -> str:
    """Return a ratio: 6.4 → `6.40x`."""
    return NOT_AVAILABLE if value is None else f"{value:.2f}x"
