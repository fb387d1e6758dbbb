"""A line chart as SVG. Pure: points in, text out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 60
_COLOURS = ("#1f5fa8", "#c2410c", "#15803d", "#7e22ce")
_STEPS = (1.0, 2.0, 5.0, 10.0)
_TICKS = 6
_MIN_VALUE = 1e-9
"""Smaller values count as zero."""

Points = Sequence[tuple[float, float]]


def line_chart(series: Mapping[str, Points], *, title: str, x_label: str, y_label: str) -> str:
    """Draw named series. Both axes start at zero; a series of one point is a dot."""
    most_x = _maximum(x for points in series.values() for x, _ in points)
    most_y = _maximum(y for points in series.values() for _, y in points)
    step_x, step_y = _step(most_x), _step(most_y)
    end_x, end_y = math.ceil(most_x / step_x) * step_x, math.ceil(most_y / step_y) * step_y

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + x / end_x * (_WIDTH - _LEFT - _RIGHT)
        return round(across, 1), round(_HEIGHT - _BOTTOM - y / end_y * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 24, title, size=16),
        _text(_WIDTH / 2, _HEIGHT - 14, x_label),
        _text(18, _HEIGHT / 2, y_label, turned=True),
    ]
    for number in range(round(end_y / step_y) + 1):
        left, y = place(0, number * step_y)
        parts.append(f'<path d="M{left} {y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y + 4, f"{number * step_y:g}", anchor="end"))
    for number in range(round(end_x / step_x) + 1):
        x, y = place(number * step_x, 0)
        parts.append(_text(x, y + 18, f"{number * step_x:g}"))
    for number, (name, points) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [place(x, y) for x, y in sorted(points)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
            + " ".join(f"{x},{y}" for x, y in placed)
            + '"/>'
        )
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in placed]
        parts.append(_text(_LEFT + 12, _TOP + 16 * number + 4, name, anchor="start", colour=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _maximum(values: Iterable[float]) -> float:
    """The highest value of an axis; 1 if all values are zero."""
    most = max(values, default=0.0)
    return most if most >= _MIN_VALUE else 1.0


def _step(most: float) -> float:
    """The smallest of 1, 2, 5 and their powers of ten that divides the axis into at most six ticks."""
    size = 10.0 ** math.floor(math.log10(most / _TICKS))
    return next(size * step for step in _STEPS if most / (size * step) <= _TICKS)


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 13,
    anchor: str = "middle",
    colour: str = "black",
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{turn}>'
        f"{escape(words)}</text>"
    )
