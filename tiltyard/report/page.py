"""A page of sections, and what sections are made of.

A reader with nothing but the file sees all of it: no script, no font, no picture of another place. The page
forbids these to itself, too, should a name ever slip through unescaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tiltyard.report.markup import EMPTY, Html, element, joined, text
from tiltyard.report.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Section:
    """What is found, first in a sentence (`lead`), then in `blocks`."""

    title: str
    lead: str
    blocks: Sequence[Html] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; figures stand at its end, and what is short stays on one line."""

    title: str
    is_figure: bool = False
    is_short: bool = False


def page(title: str, subtitle: str, sections: Sequence[Section], *, footer: str = "") -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="robots", content="noindex"),
        element("title", text(title)),
        element("style", Html(STYLE)),
    )
    links = [
        element("li", element("a", text(section.title), href=f"#section-{number}"))
        for number, section in enumerate(sections, 1)
    ]
    body = element(
        "body",
        element("header", element("h1", text(title)), element("p", text(subtitle), class_="subtitle")),
        element("nav", element("ul", *links), aria_label="Sections") if len(links) > 1 else EMPTY,
        element("main", *(_section(section, number) for number, section in enumerate(sections, 1))),
        element("footer", element("p", text(footer))) if footer else EMPTY,
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _section(section: Section, number: int) -> Html:
    place = f"section-{number}"
    return element(
        "section",
        element("h2", text(section.title), id=place),
        element("p", text(section.lead), class_="lead"),
        *section.blocks,
        aria_labelledby=place,
    )


def heading(words: str) -> Html:
    return element("h3", text(words))


def paragraph(words: str) -> Html:
    return element("p", text(words))


def terms(of: Iterable[tuple[str, str]]) -> Html:
    """Words and what they mean."""
    return element(
        "dl", *(joined(element("dt", text(word)), element("dd", text(means))) for word, means in of)
    )


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Html]]) -> Html:
    """A table whose rows each begin with what they are about. It scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", text(c.title), class_=_kind(c), scope="col") for c in columns))
    body = (
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, class_=_kind(c)) for c, cell in zip(columns[1:], row[1:], strict=True)),
        )
        for row in rows
    )
    whole = element(
        "table", element("caption", text(caption)), element("thead", head), element("tbody", *body)
    )
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex=0)


def figure(chart: Html, title: Html, caption: str = "") -> Html:
    """A chart below its name and a sentence on it."""
    words = text(caption) if caption else EMPTY
    return element("figure", element("figcaption", element("strong", title), words), chart)


def badge(words: str, *, is_marked: bool = False) -> Html:
    """A short word; a marked one has a sign, too, for those who don't see colours."""
    return element(
        "span", text(f"◆ {words}" if is_marked else words), class_="state marked" if is_marked else "state"
    )


def _kind(column: Column) -> str:
    return "figure" if column.is_figure else "short" if column.is_short else "text"
