"""Below a result: what was done to which pixels, what made it, and the ways to take it along."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import streamlit as st

from studio.errors import PipelineError
from studio.ui import gallery, inputs, notices, results, state, workspace

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP"}
_COMMERCIAL = {"yes": "allowed", "no": "not allowed", "unclear": "unclear: ask before you sell with it"}


def show(artefact: str, restore: Callable[[inputs.Restored], None]) -> None:
    """Draw downloads and receipt of a result; an unreadable one was already reported by the stage."""
    try:
        outcome = results.outcome(artefact)
    except PipelineError:
        return
    with st.container(border=True, key="receipt"):
        facts, take = st.columns([8, 5], gap="large")
        with facts:
            st.subheader("Receipt", anchor=False)
            st.html(_facts(outcome))
            if outcome.findings:
                count = len(outcome.findings)
                with st.expander(f"{count} {'notes' if count > 1 else 'note'} on this result"):
                    notices.show_findings(outcome.findings, shown=count)
            if weights := outcome.receipt.get("weights"):
                with st.expander("Weights and licences"):
                    st.html(weights_used(weights))
        with take:
            st.subheader("Take it along", anchor=False)
            _download(outcome)
            settings_or_trash(
                artefact, lambda: _restore(artefact, restore), lambda: state.update(artefact=None), key="restore"
            )


def settings_or_trash(artefact: str, restore: Callable[[], None], forget: Callable[[], None], *, key: str) -> None:
    """Two buttons side by side: take a result's settings onto the page, or delete it."""
    left, right = st.columns(2)
    with left:
        st.button(
            "Use these settings",
            icon=":material/settings_backup_restore:",
            width="stretch",
            on_click=restore,
            key=key,
        )
    with right:
        gallery.delete_button(artefact, forget)


def _restore(artefact: str, restore: Callable[[inputs.Restored], None]) -> None:
    with notices.catch():
        restore(inputs.restored(artefact))
        state.update(artefact=artefact)


def _download(outcome: results.Outcome) -> None:
    chosen = st.segmented_control(
        "Format",
        list(FORMATS),
        format_func=FORMATS.__getitem__,
        default="png",
        required=True,
        key="download_format",
        help="PNG and WebP keep every pixel. JPEG is smaller and changes pixels a little. All carry the recipe.",
    )
    st.download_button(
        f"Download {FORMATS[chosen or 'png']} with recipe",
        # Called on the click: encoding a large picture into a format nobody asked for would delay every run.
        data=lambda: results.export(outcome.id, chosen or "png"),
        file_name=outcome.path.stem + {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[chosen or "png"],
        mime=f"image/{chosen or 'png'}",
        type="primary",
        icon=":material/download:",
        width="stretch",
        key="download",
        on_click="ignore",
    )
    st.caption("Open the file here again, or run `studio rerun` on it, and you get the same picture.")


def _facts(outcome: results.Outcome) -> str:
    receipt = outcome.receipt
    edit = receipt.get("edit", {})
    outside = edit.get("changed_outside_mask")
    rows = [("Size", f"{outcome.width} × {outcome.height} px, same as the photo")]
    if "mask_share" in edit:
        rows.append(("Area that could change", f"{100 * edit['mask_share']:.1f} % of the picture"))
        kept = "not measured: JPEG changes every pixel a little" if outside is None else f"{outside:,} pixels changed"
        rows.append(("Outside that area", kept))
    loop = receipt.get("closed_loop")
    if isinstance(loop, dict):
        rows.append(("Our detector", detector_words(loop)))
    rows += origin(outcome.seed, receipt)
    rows.append(("Seal", workspace.seal_of(outcome.path)))
    rows.append(("Kept in", str(outcome.path)))
    return definitions(rows)


def detector_words(loop: dict[str, Any]) -> str:
    """What the studio's own detector found in a result, against what the receipt declares."""
    inside, found = loop.get("detected_inside_declared"), loop.get("declared_found")
    if not isinstance(inside, int | float) or not isinstance(found, int | float):
        return "marks nothing in it"
    return f"{100 * inside:.0f} % of what it marks lies in that area; it finds {100 * found:.0f} % of the area"


def origin(seed: int, receipt: dict[str, Any]) -> list[tuple[str, str]]:
    """What made a result: seed, weights, their licence, and the time it took."""
    tier = str(receipt.get("tier") or "not stated")
    rows = [
        ("Seed", str(seed)),
        ("Weights", {"starter": "starter, shipped with the studio"}.get(tier, tier)),
        ("Commercial use", _COMMERCIAL.get(receipt.get("commercial", ""), "unclear: ask before you sell with it")),
    ]
    seconds = receipt.get("timings", {}).get("total")
    if isinstance(seconds, int | float):
        rows.append(("Took", f"{seconds:.1f} s"))
    return rows


def weights_used(weights: list[dict[str, Any]]) -> str:
    """The weights of a receipt as a definition list."""
    rows = [
        (
            item.get("name", "?"),
            f"{item.get('licence') or 'no licence stated'} · commercial use: {item.get('commercial') or 'unclear'} · "
            f"{item.get('tier', '?')} · sha256 {str(item.get('sha256', '?'))[:12]}…",
        )
        for item in weights
    ]
    return definitions(rows)


def definitions(rows: list[tuple[str, str]]) -> str:
    """A definition list. Everything in it comes from a file, so all of it is escaped."""
    body = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    return f'<dl class="fact">{body}</dl>'
