"""How the page says that something went wrong: what, why, what to do, and the code."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st

from studio.errors import PipelineError, bug_report, translate
from studio.ui import watching, workspace

_SHOW = {"error": st.error, "warning": st.warning, "info": st.info}
_ICON = {"error": ":material/block:", "warning": ":material/warning:", "info": ":material/info:"}


def plain(text: object) -> str:
    """Text as it is: file names and messages must not act as markdown."""
    escaped = html.escape(str(text), quote=False)
    return "".join("\\" + char if char in "\\`*_{}[]()#+-.!|~$:" else char for char in escaped)


def show_error(error: Mapping[str, Any]) -> None:
    """Show one error with its what, why, remedy and code."""
    lines = [f"**{plain(error['what'])}**"]
    if error.get("seen"):
        lines.append(f"Why: {plain(error['seen'])}")
    if error.get("remedy"):
        lines.append(f"What to do: {plain(error['remedy'])}")
    lines.append(f":small[Code: {plain(error['code'])}]")
    st.error("  \n".join(lines), icon=_ICON["error"])


def show_findings(findings: Iterable[Mapping[str, Any]], shown: int = 2) -> None:
    """Show findings, the worst first and those about the mask before others; all but a few behind a fold.

    Args:
        findings: code, severity, message, remedy each.
        shown: How many stand open; errors always do. The picture below is what matters most.
    """
    severities = list(_SHOW)
    known = [{**item, "severity": item["severity"] if item["severity"] in _SHOW else "info"} for item in findings]
    known.sort(key=lambda item: (severities.index(item["severity"]), not str(item["code"]).startswith("mask.")))
    split = max(shown, sum(item["severity"] == "error" for item in known))
    _boxes(known[:split])
    if rest := known[split:]:
        with st.expander(f"{len(rest)} more {'notes' if len(rest) > 1 else 'note'}"):
            _boxes(rest)


def _boxes(findings: list[dict[str, Any]]) -> None:
    """One box per severity."""
    for severity, show in _SHOW.items():
        texts = []
        for finding in (item for item in findings if item["severity"] == severity):
            remedy = f"  \n{plain(finding['remedy'])}" if finding.get("remedy") else ""
            texts.append(f"**{plain(finding['message'])}**{remedy} :small[({plain(finding['code'])})]")
        if texts:
            show("\n\n".join(texts), icon=_ICON[severity])


@contextmanager
def catch(at: str = "top") -> Iterator[None]:
    """Turn an error inside a callback into the notice of the next run, shown where `show_pending` asks for ``at``."""
    try:
        yield
    except Exception as error:  # the web server must outlive a bug; it goes to a file and to the page
        known = translate(error) or bug_report(error, workspace.log_folder())
        leave(known, at)


def show_queue() -> None:
    """Say that work was interrupted, or that the queue is paused, and offer to go on."""
    if "interrupted" not in st.session_state:
        st.session_state["interrupted"] = watching.interrupted()
    if watching.paused():
        count = st.session_state["interrupted"]
        text = f"Work was interrupted: {count} unfinished." if count else "The queue is paused."
        st.warning(f"{text} Nothing new is started until you continue.", icon=":material/pause_circle:")
        st.button("Continue", on_click=watching.resume, key="resume")


def show_pending(at: str = "top") -> None:
    """Show the notice a callback left for this part of the page, once.

    An error stands beside what caused it: on a phone the top of the page is several screens away.
    """
    notice, where = st.session_state.get("notice", (None, at))
    if notice is not None and where == at:
        show_error(notice.as_dict())
        del st.session_state["notice"]


def leave(error: PipelineError, at: str) -> None:
    """Leave an error for the next run, which shows it where `show_pending` asks for ``at``."""
    st.session_state["notice"] = (error, at)
