"""When sandboxes ran, and how long cases took, drawn as SVG."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from e2brun.report.html.markup import element, text
from e2brun.report.safe import one_line
from e2brun.runs.record import Verdict

_WIDTH = 1000
_LANE = 14
_MOST_LANES = 40
_TITLED = 2000  # bars that say what they are when pointed at
_BINS = 30
_HEIGHT = 120
_MARGIN = 24  # below, for the scale


class Bar(NamedTuple):
    """A case in time; seconds."""

    id: str
    verdict: Verdict
    started: float
    seconds: float
    sandbox: str


class _Drawn(NamedTuple):
    lane: int
    left: float
    right: float
    bar: Bar


def timeline(bars: Sequence[Bar]) -> str:
    """A bar for each case that had a sandbox, those of one time below each other."""
    ran = sorted((bar for bar in bars if bar.sandbox), key=lambda bar: bar.started)
    if not ran:
        return ""
    begin = ran[0].started
    span = max(bar.started + bar.seconds for bar in ran) - begin or 1e-3
    drawn = list(_merged(_lanes(ran, begin, _WIDTH / span)))
    lanes = max(one.lane for one in drawn) + 1
    height = lanes * _LANE + _MARGIN
    titled = len(drawn) <= _TITLED
    rects = "".join(_rect(one, titled=titled) for one in drawn)
    title = f"Sandboxes over {span:.2f} s, at most {lanes} at a time"
    return _figure("Sandboxes", title, height, rects + _scale(0, span, height))


def _lanes(bars: Iterable[Bar], begin: float, scale: float) -> Iterator[_Drawn]:
    free: list[int] = []
    busy: list[tuple[float, int]] = []  # until when
    count = 0
    for bar in bars:
        while busy and busy[0][0] <= bar.started:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, count = count, count + 1
        heapq.heappush(busy, (bar.started + bar.seconds, lane))
        left = (bar.started - begin) * scale
        yield _Drawn(min(lane, _MOST_LANES - 1), left, left + bar.seconds * scale, bar)


def _merged(drawn: Iterable[_Drawn]) -> Iterator[_Drawn]:
    """Neighbours that no screen could tell apart are one."""
    last: dict[int, _Drawn] = {}
    for one in drawn:
        before = last.get(one.lane)
        if before is not None and _look_like_one(before, one):
            last[one.lane] = before._replace(right=max(before.right, one.right))
            continue
        if before is not None:
            yield before
        last[one.lane] = one
    yield from last.values()


def _look_like_one(before: _Drawn, one: _Drawn) -> bool:
    close = one.left - before.right < 0.2 and one.right - before.left < 1
    return close and before.bar.verdict is one.bar.verdict


def _rect(one: _Drawn, *, titled: bool) -> str:
    bar = one.bar
    said = f"{one_line(bar.id)} · {bar.sandbox} · {bar.verdict.value} · {bar.seconds:.3f} s"
    title = element("title", said) if titled else ""
    width = max(one.right - one.left, 0.6)
    place = f'x="{one.left:.2f}" y="{one.lane * _LANE + 1}" width="{width:.2f}"'
    return f'<rect class="{bar.verdict.value}" {place} height="{_LANE - 3}">{title}</rect>'


def histogram(bars: Sequence[Bar]) -> str:
    """How many cases took how long; the scale of times is logarithmic where they differ much."""
    ran = [bar for bar in bars if bar.verdict is not Verdict.SKIPPED]
    if not ran:
        return ""
    shortest = max(min(bar.seconds for bar in ran), 1e-4)
    longest = max(*(bar.seconds for bar in ran), shortest * 1.01)
    logarithmic = longest / shortest > 20
    bins = [dict.fromkeys(Verdict, 0) for _ in range(_BINS)]
    for bar in ran:
        bins[_bin(bar.seconds, shortest, longest, logarithmic=logarithmic)][bar.verdict] += 1
    tallest = max(sum(one.values()) for one in bins)
    edges = [_edge(n, shortest, longest, logarithmic=logarithmic) for n in range(_BINS + 1)]
    rects = "".join(
        _column(number, one, tallest, (edges[number], edges[number + 1]))
        for number, one in enumerate(bins)
    )
    middle = sorted(bar.seconds for bar in ran)[len(ran) // 2]
    title = f"Times of {len(ran)} cases: median {middle:.3f} s, longest {longest:.3f} s"
    height = _HEIGHT + _MARGIN
    labels = "".join(
        f'<text x="{n * _WIDTH / _BINS:.0f}" y="{height - 6}" text-anchor="{anchor}">'
        f"{edges[n]:.3g} s</text>"
        for n, anchor in ((0, "start"), (_BINS // 2, "middle"), (_BINS, "end"))
    )
    return _figure("Times", title, height, rects + labels)


def _bin(seconds: float, shortest: float, longest: float, *, logarithmic: bool) -> int:
    if logarithmic:
        share = math.log(max(seconds, shortest) / shortest) / math.log(longest / shortest)
    else:
        share = (seconds - shortest) / (longest - shortest)
    return max(0, min(_BINS - 1, int(share * _BINS)))


def _edge(number: int, shortest: float, longest: float, *, logarithmic: bool) -> float:
    share = number / _BINS
    if logarithmic:
        return float(shortest * (longest / shortest) ** share)
    return shortest + (longest - shortest) * share


def _column(
    number: int, counts: dict[Verdict, int], tallest: int, edges: tuple[float, float]
) -> str:
    width = _WIDTH / _BINS
    top = float(_HEIGHT)
    pieces: list[str] = []
    said = f"{edges[0]:.3g} to {edges[1]:.3g} s: {sum(counts.values())}"
    for verdict, count in counts.items():
        height = count * (_HEIGHT - 4) / tallest
        top -= height
        if count:
            place = f'x="{number * width + 1:.1f}" y="{top:.2f}" width="{width - 2:.1f}"'
            title = element("title", said)
            pieces.append(
                f'<rect class="{verdict.value}" {place} height="{height:.2f}">{title}</rect>'
            )
    return "".join(pieces)


def _scale(begin: float, span: float, height: int) -> str:
    marks = ((0, "start"), (0.5, "middle"), (1, "end"))
    return "".join(
        f'<text x="{share * _WIDTH:.0f}" y="{height - 6}" text-anchor="{anchor}">'
        f"{begin + share * span:.2f} s</text>"
        for share, anchor in marks
    )


def _figure(heading: str, title: str, height: int, content: str) -> str:
    return (
        f"<section>\n<h2>{heading}</h2>\n<p>{text(title)}</p>\n"
        f'<svg role="img" aria-label="{text(title)}" viewBox="0 0 {_WIDTH} {height}">'
        f"{content}</svg>\n</section>\n"
    )
