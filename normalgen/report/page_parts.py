"""The parts of the page as HTML; all names and texts from outside are escaped here."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from normalgen.report.pictures import STOPS
from normalgen.report.shown import Shown

__all__ = [
    "PageSummary",
    "bars_key",
    "card",
    "controls",
    "facts_list",
    "histogram",
    "key",
    "notice",
    "settings_list",
    "threshold",
]

BINS, WIDTH, HEIGHT = 32, 320, 56
COLOURS = 8
NORMAL = "good"
EXPLAINED = {"p": "p, twin", "n": "n, normals"}


class PageSummary:
    """Counts, labels and ranges over all queries of a page.

    Args:
        queries: all queries.
        weights: of each branch in the score; 1 if it is not named.
    """

    def __init__(self, queries: list[Shown], weights: Mapping[str, float]) -> None:
        judged = [query for query in queries if not query.error]
        self.kinds = Counter(kind(query) for query in queries)
        self.total = len(queries)
        labels = {query.label for query in queries if query.label is not None}
        self.labels = sorted(labels, key=lambda label: (label != NORMAL, label))
        self.scored = [query for query in judged if math.isfinite(query.score)]
        scores = [query.score for query in self.scored]
        self.lowest, self.highest = min(scores, default=0.0), max(scores, default=0.0)
        branches = dict.fromkeys(branch for query in judged for branch in query.scores)
        self.weights = {branch: weights.get(branch, 1.0) for branch in branches}
        self.span = _span([self.weights[branch] * value for query in judged for branch, value in query.scores.items()])

    def colour(self, label: str | None) -> str:
        """Return the CSS class for a label's colour; surplus labels and None share the last one."""
        if label not in self.labels:
            return f"c{COLOURS}"
        index = self.labels.index(label) + (NORMAL not in self.labels)
        return f"c{min(index, COLOURS)}"


def kind(query: Shown) -> str:
    """Return the kind that the buttons filter by: the verdict, "error" or "ranked"."""
    return "error" if query.error else query.verdict or "ranked"


def _span(values: list[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return min([0.0, *finite]), max([0.0, *finite])


def number(value: float) -> str:
    """Return a score as text: three significant digits, or all digits before the point if there are more."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def facts_list(facts: Sequence[tuple[str, str]]) -> str:
    """Return the list of names and values; "" if there are none."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in facts)
    return f'<dl class="facts">\n{rows}</dl>\n' if facts else ""


def settings_list(settings: Sequence[tuple[str, str]]) -> str:
    """Return the list of settings, folded; "" if there are none."""
    return f"<details><summary>settings</summary>\n{facts_list(settings)}</details>\n" if settings else ""


def threshold(text: str) -> str:
    """Return the paragraph on the threshold; "" if there is no text."""
    return f'<p class="threshold">{escape(text)}</p>' if text else ""


def notice(text: str) -> str:
    """Return the paragraph that says how far to trust the page; "" if there is no text."""
    return f'<p class="notice">{escape(text)}</p>\n' if text else ""


def bars_key(run: PageSummary) -> str:
    """Return what the bars of the branches mean; "" without branches."""
    weights = ", ".join(f"{escape(name)} {value:.2f}" for name, value in run.weights.items())
    words = f"bars, all on one scale: what each branch adds, its own score &times; its weight ({weights})"
    return f'<p class="key bars">{words}</p>' if weights else ""


def key(scale: tuple[float, float]) -> str:
    """Return the legend of the maps' colours."""
    stops = ", ".join(f"#{STOPS[at : at + 3].hex()}" for at in range(0, len(STOPS), 12))
    low, high = (number(end) for end in scale)
    return (
        f'<span>map</span><span>{low}</span><i style="background: linear-gradient(90deg, {stops})"></i>'
        f"<span>{high}</span>"
    )


def controls(run: PageSummary) -> str:
    """Return the buttons, the name filter and the label filter, for the kinds and labels that occur."""
    named = (
        ["anomalous", "normal"]
        if run.kinds.keys() & {"anomalous", "normal"}
        else sorted(run.kinds.keys() - {"error", "ranked"})
    )
    kinds = [("", "all", run.total), *((name, name, run.kinds[name]) for name in named)]
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
    """Return the scores as stacked bars, one colour per label, above the slider that hides low scores."""
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
    for query in run.scored:
        part = (query.score - run.lowest) / ((run.highest - run.lowest) or 1.0)
        counts[min(int(part * BINS), BINS - 1), run.colour(query.label)] += 1
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


def card(query: Shown, pictures: list[tuple[str, str]], run: PageSummary) -> str:
    """Return the card of one query; its pictures are given as caption and `src`."""
    known = not query.error and math.isfinite(query.score)
    score = f' data-score="{query.score!r}"' if known else ""
    label = "" if query.label is None else f' data-label="{escape(query.label)}"'
    rank = "" if query.error else f'<span class="rank">#{query.rank}</span>'
    figures = "".join(_figure(query.name, caption, source) for caption, source in pictures)
    value = f'<span class="score">score <strong>{number(query.score)}</strong></span>' if known else ""
    return (
        f'<article data-kind="{escape(kind(query))}"{score}{label}>\n'
        f'<div class="pictures">{figures}</div>\n'
        f"<header>{rank}<h2>{escape(query.name)}</h2>{value}</header>\n"
        f'<p class="badges">{_badges(query, run)}</p>\n'
        f"{_message(query)}{_branches(query, run)}</article>\n"
    )


def _figure(name: str, caption: str, source: str) -> str:
    alt = escape(f"{caption}: {name}")
    image = f'<img src="{source}" alt="{alt}" loading="lazy" decoding="async">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _badges(query: Shown, run: PageSummary) -> str:
    words = "error" if query.error else query.verdict
    verdict = f'<span class="badge {escape(words)}">{escape(words)}</span>' if words else ""
    label = ""
    if query.label is not None:
        label = f'<span class="badge"><i class="{run.colour(query.label)}"></i>label: {escape(query.label)}</span>'
    return verdict + label


def _message(query: Shown) -> str:
    return f'<p class="message">{escape(query.error)}</p>\n' if query.error else ""


def _branches(query: Shown, run: PageSummary) -> str:
    if query.error or not query.scores:
        return ""
    rows = "".join(_branch(branch, value, run) for branch, value in query.scores.items())
    return f'<dl class="branches">{rows}</dl>\n'


def _branch(branch: str, value: float, run: PageSummary) -> str:
    """Return a branch's score times its weight, as a bar from 0 on the scale of all branches and queries."""
    low, high = run.span
    weight, width = run.weights[branch], (high - low) or 1.0
    added = weight * value if math.isfinite(value) else 0.0
    start, part = (100 * share / width for share in (min(added, 0.0) - low, abs(added)))
    bar = f'<i style="margin-left: {start:.1f}%; width: {part:.1f}%"></i>'
    name, product = escape(EXPLAINED.get(branch, branch)), f"{number(value)} &times; {weight:.2f}"
    numbers = f'<span class="sum">{number(weight * value)} <small>= {product}</small></span>'
    return f'<div><dt>{name}</dt><dd><span class="track">{bar}</span>{numbers}</dd></div>'
