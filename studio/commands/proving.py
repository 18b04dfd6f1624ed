"""``studio verify``: whether files are as they were sealed, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.commands.common import Home, Json, fail, settings, show

if TYPE_CHECKING:
    from studio.credentials import Trust
    from studio.errors import PipelineError


def register(app: typer.Typer) -> None:
    """Add the verb to ``app``."""
    app.command()(verify)


def verify(
    files: Annotated[list[Path], typer.Argument(help="Files of any kind, made by the studio or not.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say who sealed a file, and whether a byte of it was changed since.

    One line for each file: trusted (a public authority of the setting trust_anchors vouches for the signer), signed by
    this studio, signed by someone else, altered, or no seal. A manifest beside the file (NAME.c2pa) and its sidecar
    (NAME.json) are looked at too. Nothing is fetched.

    Exit 0 if every file is trusted or signed by this studio; 6 if one cannot be read; 7 if one is altered, signed by
    someone else, or without a seal.
    """
    from studio import credentials
    from studio.errors import GateFailed

    trust = credentials.trust(credentials.place_of(settings(home=home)))
    rows: list[dict[str, Any]] = []
    unread: PipelineError | None = None
    for path in files:
        row, error = _examined(path, trust)
        rows.append(row)
        unread = unread or error
        if not as_json:
            show(row, as_json=False, text=[_line(row)])
    answer = {"ok": all(row["ok"] for row in rows), "files": rows}
    wrong = [row["file"] for row in rows if not row["ok"]]
    error = unread or GateFailed(
        "verify.not-sealed",
        "Not every file is as this studio or a trusted signer sealed it",
        seen=f"{len(wrong)} of {len(rows)}: {', '.join(wrong[:5])}",
        remedy="The lines above say why" if not as_json else "The answer says why",
    )
    if wrong and as_json:
        fail(error, answer)
    if wrong:
        raise error
    if as_json:
        show(answer, as_json=True, text=[])


def _examined(path: Path, trust: Trust) -> tuple[dict[str, Any], PipelineError | None]:
    """The row of a file, and the error if it cannot be read: one bad file does not hide the others."""
    from pipelines.core.errors import InputError
    from studio import verdicts

    try:
        return {"file": str(path), **verdicts.of_file(path, trust).as_dict()}, None
    except InputError as error:
        return {"file": str(path), "ok": False, "status": "unreadable", "error": error.as_dict()}, error


def _line(row: dict[str, Any]) -> str:
    from studio.provenance import plain

    if "error" in row:
        text = f"unreadable: {row['error']['what']}"
    else:
        signer = f" ({row['signer']})" if row["status"] == "studio" and row["signer"] else ""
        reasons = [f"{reason['code']}: {reason['meaning']}" for reason in row["reasons"]]
        text = "; ".join([row["words"] + signer, *reasons])
    return f"{plain(row['file'], 4096)}: {text}"
