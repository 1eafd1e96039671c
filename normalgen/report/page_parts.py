"""The parts of the page, as HTML: whatever is not ours is escaped here."""

import math
from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from normalgen.report.pictures import STOPS
from normalgen.report.shown import Shown

__all__ = ["PageSummary", "card", "controls", "facts_list", "histogram", "key", "settings_list", "threshold"]

BINS, WIDTH, HEIGHT = 32, 320, 56
COLOURS = 8
NORMAL = "good"
EXPLAINED = {"p": "p, twin", "n": "n, normals"}


class PageSummary:
    """All queries of a page, without pictures: what the parts must know of the others.

    Args:
        shown: the queries.
    """

    def __init__(self, shown: list[Shown]) -> None:
        judged = [each for each in shown if not each.error]
        self.kinds = Counter(kind(each) for each in shown)
        self.total = len(shown)
        found = {each.label for each in shown if each.label is not None}
        self.labels = sorted(found, key=lambda label: (label != NORMAL, label))
        self.scored = [each for each in judged if math.isfinite(each.score)]
        scores = [each.score for each in self.scored]
        self.lowest, self.highest = min(scores, default=0.0), max(scores, default=0.0)
        branches = dict.fromkeys(branch for each in judged for branch in each.scores)
        self.spans = {branch: _span([each.scores.get(branch, math.nan) for each in judged]) for branch in branches}

    def colour(self, label: str | None) -> str:
        """The class that colours a label: the last one for all that are too many, and for no label."""
        if label not in self.labels:
            return f"c{COLOURS}"
        place = self.labels.index(label) + (NORMAL not in self.labels)
        return f"c{min(place, COLOURS)}"


def kind(shown: Shown) -> str:
    """What the buttons sort a query by: its verdict, "error", or "ranked"."""
    return "error" if shown.error else shown.verdict or "ranked"


def _span(values: list[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return min([0.0, *finite]), max([0.0, *finite])


def number(value: float) -> str:
    """A score as people read it: three significant digits and the places before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def facts_list(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values; nothing where there are none."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in facts)
    return f'<dl class="facts">\n{rows}</dl>\n' if facts else ""


def settings_list(settings: Sequence[tuple[str, str]]) -> str:
    """The same, folded."""
    return f"<details><summary>settings</summary>\n{facts_list(settings)}</details>\n" if settings else ""


def threshold(text: str) -> str:
    """The sentence on the threshold; nothing where there is none."""
    return f'<p class="threshold">{escape(text)}</p>' if text else ""


def key(scale: tuple[float, float]) -> str:
    """What the maps' colours mean."""
    stops = ", ".join(f"#{STOPS[at : at + 3].hex()}" for at in range(0, len(STOPS), 12))
    low, high = (number(end) for end in scale)
    return (
        f'<span>map</span><span>{low}</span><i style="background: linear-gradient(90deg, {stops})"></i>'
        f"<span>{high}</span>"
    )


def controls(run: PageSummary) -> str:
    """The buttons, the name filter and the label filter, for those kinds and labels that occur."""
    judged = any(kind in run.kinds for kind in ("anomalous", "normal"))
    kinds = [("", "all", run.total)]
    kinds += [(name, name, run.kinds[name]) for name in ("anomalous", "normal") if judged]
    kinds += [("error", "errors", run.kinds["error"])] if run.kinds["error"] else []
    buttons = "".join(
        f'<button type="button" data-kind="{name}" aria-pressed="{"false" if name else "true"}">{words} '
        f"<small>{count}</small></button>"
        for name, words, count in kinds
    )
    labels = "".join(f"<option>{escape(label)}</option>" for label in run.labels)
    chosen = f'<select id="label" aria-label="label"><option value="">all labels</option>{labels}</select>'
    return (
        f'<div class="kinds" role="group" aria-label="which queries">{buttons}</div>'
        '<input id="name" type="search" placeholder="filter by name" aria-label="filter by name">'
        f'{chosen if labels else ""}<output id="count" aria-live="polite">{run.total} of {run.total} shown</output>'
    )


def histogram(run: PageSummary) -> str:
    """Scores as stacked bars, a colour a label, above the slider that hides what is below a score."""
    if not run.scored:
        return ""
    words = f"histogram of {len(run.scored)} scores from {number(run.lowest)} to {number(run.highest)}"
    names = "".join(f'<span><i class="{run.colour(label)}"></i>{escape(label)}</span>' for label in run.labels)
    ends = (
        f'<span>score {number(run.lowest)}</span><span class="labels">{names}</span><span>{number(run.highest)}</span>'
    )
    limits = f'min="{run.lowest!r}" max="{run.highest!r}" value="{run.lowest!r}"'
    return (
        f'<div class="histogram"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}">{_bars(run)}<line id="cut" y1="0" y2="{HEIGHT}" x1="0" x2="0"/></svg>'
        f'<input id="least" type="range" {limits} step="any" aria-label="hide scores below" hidden>'
        f'<div class="ends">{ends}</div></div>'
    )


def _bars(run: PageSummary) -> str:
    counts: Counter[tuple[int, str]] = Counter()
    for each in run.scored:
        part = (each.score - run.lowest) / ((run.highest - run.lowest) or 1.0)
        counts[min(int(part * BINS), BINS - 1), run.colour(each.label)] += 1
    tallest = max(sum(counts[at, f"c{colour}"] for colour in range(COLOURS + 1)) for at in range(BINS))
    width, bars = WIDTH / BINS, []
    for at in range(BINS):
        heights = [counts[at, f"c{colour}"] / tallest * (HEIGHT - 2) for colour in range(COLOURS + 1)]
        tops = [HEIGHT - sum(heights[:end]) for end in range(len(heights) + 1)]
        bars += [
            f'<rect class="c{colour}" x="{at * width + 0.5:.2f}" y="{top:.2f}" width="{width - 1:.2f}" '
            f'height="{bottom - top:.2f}"/>'
            for colour, (bottom, top) in enumerate(pairwise(tops))
            if bottom > top
        ]
    return "".join(bars)


def card(shown: Shown, pictures: list[tuple[str, str]], run: PageSummary) -> str:
    """One query, its pictures given as caption and `src`."""
    known = not shown.error and math.isfinite(shown.score)
    score = f' data-score="{shown.score!r}"' if known else ""
    label = "" if shown.label is None else f' data-label="{escape(shown.label)}"'
    place = "" if shown.error else f'<span class="rank">#{shown.rank}</span>'
    figures = "".join(_figure(shown.name, caption, source) for caption, source in pictures)
    value = f'<span class="score">score <strong>{number(shown.score)}</strong></span>' if known else ""
    return (
        f'<article data-kind="{escape(kind(shown))}"{score}{label}>\n'
        f'<div class="pictures">{figures}</div>\n'
        f"<header>{place}<h2>{escape(shown.name)}</h2>{value}</header>\n"
        f'<p class="badges">{_badges(shown, run)}</p>\n'
        f"{_message(shown)}{_branches(shown, run)}</article>\n"
    )


def _figure(name: str, caption: str, source: str) -> str:
    alt = escape(f"{caption}: {name}")
    image = f'<img src="{source}" alt="{alt}" loading="lazy" decoding="async">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _badges(shown: Shown, run: PageSummary) -> str:
    words = "error" if shown.error else shown.verdict
    verdict = f'<span class="badge {escape(words)}">{escape(words)}</span>' if words else ""
    label = ""
    if shown.label is not None:
        label = f'<span class="badge"><i class="{run.colour(shown.label)}"></i>label: {escape(shown.label)}</span>'
    return verdict + label


def _message(shown: Shown) -> str:
    return f'<p class="message">{escape(shown.error)}</p>\n' if shown.error else ""


def _branches(shown: Shown, run: PageSummary) -> str:
    if shown.error or not shown.scores:
        return ""
    rows = "".join(_branch(branch, value, run.spans[branch]) for branch, value in shown.scores.items())
    return f'<dl class="branches">{rows}</dl>\n'


def _branch(branch: str, value: float, span: tuple[float, float]) -> str:
    low, high = span
    part = (value - low) / ((high - low) or 1.0) if math.isfinite(value) else 0.0
    bar = f'<i style="width: {100 * part:.1f}%"></i>'
    name = escape(EXPLAINED.get(branch, branch))
    return f'<div><dt>{name}</dt><dd><span class="track">{bar}</span><span>{number(value)}</span></dd></div>'
