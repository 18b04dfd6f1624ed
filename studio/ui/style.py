"""The little CSS that the theme in .streamlit/config.toml cannot say."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
.block-container { max-width: 1280px; padding-top: 4.5rem; padding-bottom: 3rem; }
h1 { font-weight: 600 !important; letter-spacing: -.01em; padding-bottom: 0 !important; }
h2, h3, h4 { font-weight: 600 !important; letter-spacing: -.005em; }
.st-key-stage { position: sticky; top: 4.25rem; scroll-margin-top: 4.5rem; }
h3 { font-size: 1.25rem !important; padding: .4rem 0 .2rem !important; }
/* The accent is dark on the light theme and light on the dark one; what stands on it must be the opposite. */
[data-testid$="Button-primary"]:enabled, [data-testid$="Button-primary"]:enabled * {
  color: light-dark(#fff, #0d1f19) !important;
}
.st-key-empty { min-height: 26rem; }
[data-testid="stFileUploaderDropzone"] { padding: .5rem .75rem; min-height: 0; }
.fact { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; font-size: .875rem;
  margin: 0 !important; padding: 0 !important; }
.fact dt { opacity: .75; } .fact dd { margin: 0 !important; overflow-wrap: anywhere; }
.passport { width: 100%; border-collapse: collapse; font-size: .875rem; margin: 0 0 .75rem !important; }
.passport caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.passport :is(th, td) { padding: .4rem .5rem .4rem 0; border: 0; border-top: 1px solid #8884; vertical-align: top; }
.passport tr:first-child > * { border-top: 0; }
.passport th { font-weight: 400; text-align: left; }
.passport small { display: block; opacity: .8; font-size: .8125rem; }
.st-key-strip [data-testid="stImage"], .st-key-strip [data-testid="stImageContainer"] { border-radius: .4rem; }
.st-key-strip [data-testid="stImage"] { gap: .75rem; justify-content: center; }
.passport .value { text-align: right; width: 42%; font-variant-numeric: tabular-nums; }
.passport .mark { width: 1.9rem; font-weight: 700; color: light-dark(#23694f, #6cc3a5); }
.passport .warning .mark { color: light-dark(#8a5a00, #e2b04a); }
.passport .error .mark { color: light-dark(#b3261e, #f08a80); }
.st-key-still img { max-height: 72vh; width: auto; max-width: 100%; object-fit: contain; border-radius: .6rem; }
@media (max-width: 640px) {
  .block-container { padding: 4rem 1rem 2rem; }
  .st-key-stage { position: static; } .st-key-empty { min-height: 9rem; }
  h1 { font-size: 1.7rem !important; }
}
</style>
"""


# A green that reads on both backgrounds; the letters are drawn by the browser's own serif.
_WORDMARK = """
<svg xmlns="http://www.w3.org/2000/svg" width="104" height="28" viewBox="0 0 104 28" role="img" aria-label="Studio">
  <rect x="1" y="3" width="22" height="22" rx="6" fill="#3a8a72"/>
  <path d="M10 9.8a2 2 0 1 1 2 2v1.7l6.4 4c.8.5.5 1.5-.4 1.5h-12c-.9 0-1.2-1-.4-1.5l6.4-4"
    fill="none" stroke="#fff" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>
  <text x="31" y="20.5" font-family="Source Serif Pro, Source Serif, Georgia, serif" font-size="19" font-weight="600"
    fill="#3a8a72">Studio</text>
</svg>"""


def apply() -> None:
    """Put wordmark and style sheet on the page; once per run, before anything else."""
    st.logo(_WORDMARK.strip(), size="medium")
    st.html(_CSS)
