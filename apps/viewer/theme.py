"""The look around the image: dark, quiet, and as little of the height as can be."""

from __future__ import annotations

import streamlit as st

_STYLE = """
<style>
:root { color-scheme: dark; }
.stApp, [data-testid="stAppViewContainer"], [data-testid="stMain"] { background: #0b0d10; }
[data-testid="stHeader"] { background: #0b0d10; height: 2.9rem; min-height: 2.9rem; border-bottom: 1px solid #1c2128; }
[data-testid="stMainBlockContainer"] { padding: 3.3rem 1.1rem 0.4rem; max-width: none; }
[data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] { gap: 0.55rem; }
[data-testid="stMainMenu"], [data-testid="stAppDeployButton"], [data-testid="stDecoration"],
[data-testid="stStatusWidget"], footer { display: none; }
[data-testid="stElementContainer"]:has(style:only-child) { display: none; }
h1, h2, h3 { letter-spacing: 0; }
h3 { padding: 0.2rem 0 0.3rem; font-weight: 600; }
[data-testid="stWidgetLabel"] p { font-size: 0.78rem; color: #9aa4b0; }
[data-testid="stMainBlockContainer"]:has(.st-key-fill) > [data-testid="stVerticalBlock"] { height: calc(100vh - 4rem); }
[data-testid="stLayoutWrapper"]:has(> .st-key-fill) { flex: 1 1 12rem; min-height: 12rem; }
.st-key-fill { height: 100%; min-height: 0; }
[data-testid="stElementToolbar"]:has([aria-label="Download as CSV"]) { display: none; }
.st-key-problems { max-height: calc(100vh - 13rem); overflow: auto; }
.st-key-problems td:first-child, .st-key-problems td:first-child * { white-space: nowrap; color: #9aa4b0; }
.st-key-title p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.quiet { color: #9aa4b0; font-size: 0.86rem; }
.empty { max-width: 42rem; margin: 16vh auto 0; padding: 0 1rem; color: #b9c2cd; line-height: 1.6; }
.st-key-middle, .st-key-beginning { max-width: 42rem; margin: 0 auto; padding: 0 1rem; }
.st-key-beginning { margin-top: 16vh; }
.empty h3 { color: #e8edf3; }
</style>
"""


ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#12161b"/>'
    '<circle cx="16" cy="16" r="9" fill="none" stroke="#9fb4c8" stroke-width="2"/>'
    '<circle cx="19.5" cy="13" r="2.6" fill="#ffb454"/></svg>'
)  # a picture of our own: a named icon would be fetched from another host


def dress() -> None:
    """Put the style into the page; once a run of the script."""
    st.html(_STYLE)


def empty(title: str, *sentences: str) -> None:
    """A page with nothing to show yet: what is so, and what to do. Plain words; Markdown is not read."""
    told = "".join(f"<p>{_plain(sentence)}</p>" for sentence in sentences)
    st.html(f'<div class="empty"><h3>{_plain(title)}</h3>{told}</div>')


def quiet(text: str) -> None:
    """A line in small grey letters."""
    st.html(f'<div class="quiet">{_plain(text)}</div>')


def _plain(text: str) -> str:
    import html

    return html.escape(text)
