"""Small pieces of HTML; every text from data passes through `text`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ecgqa import __version__
from ecgqa.evaluation.wording import DISCLAIMER, number, span

_OPEN_FOR_PRINT = "addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>{d.open=true}))"


def document(
    title: str,
    lead: str,
    sections: Sequence[str],
    navigation: Sequence[tuple[str, str]],
    *,
    headline: str = "",
    ending: str = "",
) -> str:
    """A whole page that needs nothing but itself: its content security policy forbids every request.

    sections: finished HTML; navigation: (id, title) of the sections, those that are not there being left out;
    headline: HTML below the title; ending: what the last line says of the numbers.
    """
    content = "".join(sections)
    links = "".join(f'<a href="#{name}">{text(shown)}</a>' for name, shown in navigation if f'id="{name}"' in content)
    digest = base64.b64encode(hashlib.sha256(_OPEN_FOR_PRINT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    style = files("ecgqa.evaluation.report").joinpath("style.css").read_text(encoding="utf-8")
    made = f"Made by ecgqa {text(__version__)}" + (f"; {text(ending)}" if ending else "")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="referrer" content="no-referrer">
<title>{text(title)}</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><header><h1>{text(title)}</h1><p class="soft">{text(lead)}</p>
<p class="notice">{DISCLAIMER}</p>{headline}
<nav aria-label="Sections">{links}</nav></header>
<main>{content}</main>
<footer><p>{DISCLAIMER} {made}.</p>
</footer><script>{_OPEN_FOR_PRINT}</script></body></html>
"""


def text(value: object) -> str:
    """Escaped for element content and attribute values; control characters made visible."""
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )
    return escape(shown, quote=True)


def section(name: str, title: str, *parts: str) -> str:
    heading = f'<h2 id="{name}-title">{text(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{"".join(parts)}</section>'


def paragraph(content: str) -> str:
    return f"<p>{text(content)}</p>"


def cell(row: Mapping[str, Any], *, best: bool = False, note: str = "") -> str:
    """A score with its interval below it."""
    below = f"<small>{text(span(row))}</small>" if span(row) else ""
    extra = f"<small>{text(note)}</small>" if note else ""
    return f"<td{' class=best' if best else ''}>{number(row.get('value'))}{below}{extra}</td>"


def table(head: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]], *, caption: str, kind: str = "") -> str:
    """A scrollable table. rows: (row class, first cell's text, further cells as HTML)."""
    titles = "".join(f'<th scope="col">{_breakable(name)}</th>' for name in head)
    body = "".join(
        f'<tr{f" class={row_class}" if row_class else ""}><th scope="row">{text(first)}</th>{"".join(cells)}</tr>'
        for row_class, first, cells in rows
    )
    return (
        f'<p class="caption" aria-hidden="true">{text(caption)}</p>'  # outside, so that it does not scroll away
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="{kind}" aria-label="{text(caption)}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """Escaped, with a place to break after each underscore, so that names of runs do not widen a table."""
    return text(name).replace("_", "_<wbr>")


def plain(value: object) -> str:
    """A table cell with escaped text."""
    return f"<td>{text(value)}</td>"


def details(title: str, content: str) -> str:
    return f"<details><summary>{text(title)}</summary>{content}</details>"
