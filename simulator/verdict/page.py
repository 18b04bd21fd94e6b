"""One HTML page that needs nothing else: no script, no network, light and dark, every figure also in a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from simulator.verdict.plot import Plot

STYLE: Final = """
:root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--good:#1a7f37;--bad:#cf222e;
--s0:#0969da;--s1:#bf5700;--s2:#8250df}
@media (prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--good:#3fb950;
--bad:#ff7b72;--s0:#58a6ff;--s1:#f0883e;--s2:#bc8cff}}
body{background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif;
max-width:72rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;margin:1rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{border-bottom:1px solid var(--line);padding:.25rem .7rem;text-align:left;vertical-align:top;
overflow-wrap:anywhere}
th[scope=col],td.number,th.number{white-space:nowrap}td.number,th.number{text-align:right}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}.soft{color:var(--soft)}
.wide{overflow-x:auto}figure{margin:1rem 0}figcaption{color:var(--soft)}svg{width:100%;max-width:44rem;height:auto}
svg .axis{font-size:11px;fill:var(--soft)}svg .key{font-size:11px}svg .grid{stroke:var(--line)}
svg polyline{fill:none;stroke-width:1.6}
svg rect.s0,svg .key.s0{fill:var(--s0)}svg .key.s1{fill:var(--s1)}svg .key.s2{fill:var(--s2)}
svg polyline.s0{stroke:var(--s0)}svg polyline.s1{stroke:var(--s1)}svg polyline.s2{stroke:var(--s2)}
"""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whether something holds, in a word that says so without its colour; None where nobody knows."""

    holds: bool | None
    word: str


Cell = str | int | float | Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a caption; numbers stand to the right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, some sentences, and what is shown below them."""

    title: str
    told: Sequence[str] = ()
    parts: Sequence[Table | Plot] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole report.

    Attributes:
        verdict: the one thing a hurried reader wants to know.
    """

    title: str
    verdict: Mark
    sections: Sequence[Section]

    def html(self) -> str:
        """Write the document."""
        return "".join(self._lines())

    def _lines(self) -> Iterable[str]:
        yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
        yield f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>\n<body><main>"
        yield f"<h1>{escape(self.title)}</h1>\n<p>{_mark(self.verdict)}</p>\n"
        for section in self.sections:
            yield f"<section><h2>{escape(section.title)}</h2>\n"
            yield from (f"<p>{escape(one)}</p>\n" for one in section.told)
            for part in section.parts:
                yield from _table(part) if isinstance(part, Table) else _figure(part)
            yield "</section>\n"
        yield "</main></body></html>\n"


def _table(table: Table) -> Iterable[str]:
    numeric = [
        bool(table.rows) and all(isinstance(row[place], int | float) for row in table.rows)
        for place in range(len(table.columns))
    ]
    yield f'<div class="wide" role="region" tabindex="0" aria-label="{escape(table.caption)}">'
    yield f"<table><caption>{escape(table.caption)}</caption><thead><tr>"
    for name, is_number in zip(table.columns, numeric, strict=True):
        yield f'<th scope="col"{_class(is_number)}>{escape(name)}</th>'
    yield "</tr></thead><tbody>\n"
    for row in table.rows:
        cells = [f"<td{_class(is_number)}>{_cell(cell)}</td>" for cell, is_number in zip(row, numeric, strict=True)]
        cells[0] = cells[0].replace("<td", '<th scope="row"', 1).removesuffix("</td>") + "</th>"
        yield f"<tr>{''.join(cells)}</tr>\n"
    yield "</tbody></table></div>\n"


def _figure(plot: Plot) -> Iterable[str]:
    if plot.is_empty:
        return
    yield f"<figure><figcaption>{escape(plot.title)}</figcaption>{plot.svg()}"
    columns = (plot.across, *(one.name for one in plot.series))
    rows: list[tuple[Cell, ...]] = [
        (label, *(round(one.values[place], 3) for one in plot.series)) for place, label in enumerate(plot.labels)
    ]
    yield "<details><summary>figures</summary>"
    yield from _table(Table(caption=f"{plot.title}: {plot.up}", columns=columns, rows=rows))
    yield "</details></figure>\n"


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(cell: Cell) -> str:
    match cell:
        case Mark():
            return _mark(cell)
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:,.3f}".rstrip("0").rstrip(".")
        case _:
            return escape(cell)


def _mark(mark: Mark) -> str:
    sign, style = {True: ("✔ ", "good"), False: ("✘ ", "bad"), None: ("", "soft")}[mark.holds]
    return f'<span class="{style}">{sign}{escape(mark.word)}</span>'
