"""``studio weights``: what there is, what it may be used for, whether it is intact, fetching and converting it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.commands.common import Home, Json, Quiet, columns, fail, say, settings, show

app = typer.Typer(help="Weights: list, describe, verify, pull, convert.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="Name of the weights; studio weights ls lists them.")]


@app.command("ls")
def ls(home: Home = None, as_json: Json = False) -> None:
    """List all weights: tier, licence, commercial use, and whether they are on this computer."""
    from studio import weights

    rows = weights.listing(settings(home=home).home)
    head = ("name", "system", "tier", "licence", "commercial", "here", "MB")
    table = [
        (row["name"], row["system"], row["tier"], row["licence"], row["commercial"], "yes" if row["here"] else "no",
         "" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}")
        for row in rows
    ]  # fmt: skip
    show(rows, as_json=as_json, text=columns([head, *table]))


@app.command("info")
def info(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Describe weights: licence, commercial use, data, files with hashes, card."""
    from studio import weights

    entry = weights.entry(name)
    row = next(row for row in weights.listing(settings(home=home).home) if row["name"] == name)
    card = weights.card(name)
    data = {**row, "files": entry.get("files", []), "how": entry.get("how"), "card": card}
    fields = [(key, row[key]) for key in ("system", "tier", "licence", "licence_url", "commercial", "data", "folder")]
    files = [("file", f"{f['path']}  {f.get('size', '?')} bytes  {f.get('sha256', 'no hash')}") for f in data["files"]]
    show(data, as_json=as_json, text=[*columns([*fields, *files]), *(["", card] if card else [])])


@app.command("verify")
def verify(name: Annotated[str | None, typer.Argument(help="Default: all that are here.")] = None, home: Home = None,
           as_json: Json = False) -> None:  # fmt: skip
    """Compare files with the hashes of the manifest. Exit 4 if one differs or is missing."""
    from pipelines.core.errors import WeightsError
    from studio import weights

    folder = settings(home=home).home
    names = [name] if name else [row["name"] for row in weights.listing(folder) if row["here"]]
    data = {each: weights.verify(each, folder) for each in names}
    rows = [(each, row["path"], row["status"]) for each, found in data.items() for row in found]
    wrong = [f"{each}/{path}: {status}" for each, path, status in rows if status in ("differs", "missing")]
    told = WeightsError(
        "weights.bad-hash",
        "Some weights are not what was published",
        seen="; ".join(wrong[:5]),
        remedy="Restore them from the repository, or pull them again",
    )
    if wrong and as_json:
        fail(told, data)
    show(data, as_json=as_json, text=columns(rows))
    if wrong:
        raise told


@app.command("pull")
def pull(
    name: Name,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read and accept its licence.")
    ] = False,
    home: Home = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fetch published weights from the hub (HF_ENDPOINT); goes on where it stopped, checks the hash."""
    from studio import weights

    chosen = settings(home=home)
    folder = weights.pull(
        name, chosen.home, endpoint=chosen.hf_endpoint, accept_licence=accept_licence, offline=chosen.offline,
        log=(lambda line: None) if quiet else say,
    )  # fmt: skip
    show({"ok": True, "name": name, "folder": str(folder)}, as_json=as_json, text=[str(folder)])


@app.command("convert")
def convert(
    system: Annotated[str, typer.Argument(help="viton-hd, pose, vitruvio or iml-vit.")],
    files: Annotated[list[Path], typer.Argument(help="Its published checkpoints (.pth, .pt or .safetensors).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder, to be named with --weights.")],
    as_json: Json = False,
) -> None:
    """Turn published checkpoints into weights. Runs no code in them; every key and shape must fit.

    Example: studio weights convert viton-hd seg_final.pth gmm_final.pth alias_final.pth -o weights-official
    """
    from studio import systems

    systems.convert(system, files, out)
    show({"ok": True, "system": system, "folder": str(out)}, as_json=as_json, text=[str(out)])


@app.command("seal", hidden=True)
def seal(name: Name, as_json: Json = False) -> None:
    """Write size and hash of shipped weights into weights/manifest.toml, after training them."""
    from studio import weights

    files = weights.seal(name)
    show({"ok": True, "files": files}, as_json=as_json, text=[f"{f['path']}  {f['sha256']}" for f in files])
