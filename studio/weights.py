"""Weights: what there is, what each may be used for, whether it is intact, and how to fetch it.

Turning a name into a folder is pipelines/core/hub.py's business; hashing, consent and downloads are ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.core import hub
from pipelines.core.errors import WeightsError
from studio.errors import UsageError

CONTENT = (".safetensors", ".json", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Weights:
    """A set of weights as the manifest describes it.

    Attributes:
        name: Its name.
        system: The pipeline that runs it.
        tier: ``starter``, ``official``, or ``own`` for a user's folder.
        licence: SPDX id or name.
        licence_url: Where the licence stands.
        commercial: ``yes``, ``no`` or ``unclear``.
        data: What it was trained on.
    """

    name: str
    system: str
    tier: str
    licence: str
    licence_url: str
    commercial: str
    data: str


@dataclass(frozen=True)
class Resolved:
    """Weights found on this computer: the folder and the sha256 of its contents."""

    weights: Weights
    folder: Path
    sha256: str

    def receipt(self) -> dict[str, str]:
        """What the sidecar says about them."""
        shown = ("name", "tier", "licence", "commercial")
        return {**{name: str(getattr(self.weights, name)) for name in shown}, "sha256": self.sha256}


def entry(name: str) -> dict[str, Any]:
    """The manifest's entry of ``name``.

    Raises:
        WeightsError: ``weights.unknown``.
    """
    found = hub.manifest().get(name)
    if found is None:
        raise WeightsError(
            "weights.unknown",
            "There are no weights of this name",
            seen=name,
            remedy=f"Known: {', '.join(hub.manifest())}",
        )
    return found


def describe(name: str) -> Weights:
    """The description of the weights ``name``; a folder of the user's own has no licence that we know."""
    known = hub.manifest().get(name)
    if known is None:
        return Weights(name, "?", "own", "not stated", "", "unclear", "not stated")
    fields = ("system", "tier", "licence", "licence_url", "commercial", "data")
    return Weights(name, *(str(known.get(field, "")) for field in fields))


def hash_folder(folder: Path) -> str:
    """sha256 over the names and contents of the weights and configuration files in ``folder``."""
    digest = hashlib.sha256()
    files = sorted(p for p in folder.rglob("*") if p.suffix in CONTENT and p.is_file() and not _hidden(p, folder))
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes.

    Raises:
        WeightsError: ``weights.damaged`` if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise WeightsError("weights.damaged", "These weights cannot be read", seen=f"{path}: {error}") from error
    return digest.hexdigest()


def resolve(name: str, folder: Path | None = None) -> Resolved:
    """Find weights and hash them.

    Args:
        name: The name the pipeline asks for.
        folder: The user's own folder instead, or None.

    Raises:
        WeightsError: ``weights.unknown``, ``weights.missing``, ``weights.licence``.
    """
    if folder is not None:
        if not folder.is_dir():
            raise WeightsError("weights.missing", "There is no such folder of weights", seen=folder, remedy="Check it")
        if not any((folder / head).is_file() for head in ("config.json", "model_index.json")):
            raise WeightsError(
                "weights.missing",
                "This folder holds no weights",
                seen=f"{folder}: neither config.json nor model_index.json",
                remedy="Name a folder that `studio train` or save_pretrained wrote",
            )
        own = re.sub(r"[^a-z0-9._-]", "-", folder.name.lower()).strip("-._") or "folder"
        return Resolved(
            Weights(f"own-{own}"[:64], "?", "own", "not stated", "", "unclear", "?"), folder, hash_folder(folder)
        )
    place = hub.resolve(name)
    return Resolved(describe(name), place, hash_folder(place))


def use_workspace(home: Path) -> None:
    """Let pulled weights of this workspace be found."""
    hub.add_workspace(home)


def listing(home: Path) -> list[dict[str, Any]]:
    """All weights of the manifest, and where they are on this computer."""
    use_workspace(home)
    rows = []
    for name in hub.manifest():
        try:
            folder: Path | None = hub.resolve(name)
        except WeightsError:
            folder = None
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder else None
        rows.append(
            {**asdict(describe(name)), "here": folder is not None, "folder": folder and str(folder), "bytes": size}
        )
    return rows


def card(name: str) -> str | None:
    """The text of the card of ``name``, or None."""
    path = hub.root() / "cards" / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def verify(name: str, home: Path) -> list[dict[str, Any]]:
    """Compare every file of ``name`` with the manifest.

    Returns:
        One row per file: path, status (``ok``, ``missing``, ``differs``, ``unlisted``, ``no-hash``), expected, found.

    Raises:
        WeightsError: if the weights are unknown or absent.
    """
    use_workspace(home)
    expected, folder = entry(name).get("files", []), hub.resolve(name)
    rows = []
    for item in expected:
        path, wanted = folder / item["path"], item.get("sha256") or _first_seen(home, name, item["path"])
        found = hash_file(path) if path.is_file() else None
        status = "missing" if found is None else "no-hash" if not wanted else "ok" if found == wanted else "differs"
        rows.append({"path": item["path"], "status": status, "expected": wanted, "found": found})
    listed = {item["path"] for item in expected}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in CONTENT and not _hidden(p, folder)):
        if path.relative_to(folder).as_posix() not in listed:
            row = {"path": path.relative_to(folder).as_posix(), "status": "unlisted", "expected": None}
            rows.append({**row, "found": hash_file(path)})
    return rows


def _records(home: Path) -> Path:
    return home / "weights" / "records.json"


def _read_records(home: Path) -> dict[str, Any]:
    try:
        return json.loads(_records(home).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(
            "weights.records", "The record of pulled weights cannot be read", seen=f"{_records(home)}: {error}"
        ) from error


def _record(home: Path, name: str, **values: Any) -> None:
    records = _read_records(home)
    records[name] = {**records.get(name, {}), **values}
    _records(home).parent.mkdir(parents=True, exist_ok=True)
    part = _records(home).with_suffix(".part")
    part.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    os.replace(part, _records(home))


def _first_seen(home: Path, name: str, path: str) -> str | None:
    """The hash a file had when it was first pulled, for files whose publisher states none."""
    return _read_records(home).get(name, {}).get("sha256", {}).get(path)


def accept(name: str, home: Path) -> None:
    """Record that the user accepts the licence of ``name``."""
    known = entry(name)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    _record(home, name, accepted={"licence": known["licence"], "url": known.get("licence_url"), "when": moment})


def pull(
    name: str,
    home: Path,
    *,
    endpoint: str,
    accept_licence: bool = False,
    offline: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetch published weights into the workspace; a broken-off download goes on where it stopped.

    Args:
        name: A name of the manifest with a ``repo``.
        home: The workspace.
        endpoint: The hub's address.
        accept_licence: The user accepts the licence, where one must be accepted.
        offline: The network must not be used.
        log: Receives one line per file.

    Returns:
        The folder.

    Raises:
        WeightsError: ``weights.licence``, ``weights.not-pullable``, ``weights.download``, ``weights.bad-hash``.
        UsageError: ``weights.offline``.
    """
    known = entry(name)
    if known.get("consent") or known["commercial"] == "no":
        if accept_licence:
            accept(name, home)
        elif _read_records(home).get(name, {}).get("accepted", {}).get("licence") != known["licence"]:
            raise WeightsError(
                "weights.licence",
                f"The licence of {name} ({known['licence']}, commercial use: {known['commercial']}) is not accepted",
                seen=known.get("licence_url"),
                remedy=f"Read it, then: studio weights pull {name} --accept-licence",
            )
    if "repo" not in known:
        raise WeightsError("weights.not-pullable", f"{name} cannot be pulled", seen=name, remedy=known.get("how", ""))
    if offline:
        raise UsageError("weights.offline", "The studio is set to work offline", seen=name, remedy="Unset offline")
    folder = home / "weights" / name
    sums: dict[str, str] = {}
    for item in known["files"]:
        path = _fetch(known, item["path"], folder, endpoint)
        found, wanted = hash_file(path), item.get("sha256") or _first_seen(home, name, item["path"])
        if wanted and found != wanted:
            path.unlink()
            raise WeightsError(
                "weights.bad-hash",
                "What arrived is not what was published",
                seen=f"{item['path']}: sha256 {found[:12]}, expected {wanted[:12]}",
                remedy="It was removed; try again, or ask who runs the mirror",
            )
        sums[item["path"]] = found
        log(f"{item['path']}  {path.stat().st_size} bytes  sha256 {found}")
    _record(home, name, sha256=sums, endpoint=endpoint, revision=known.get("revision", "main"))
    return folder


def _fetch(known: dict[str, Any], path: str, folder: Path, endpoint: str) -> Path:
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(
            hf_hub_download(
                known["repo"], path, revision=known.get("revision", "main"), local_dir=folder, endpoint=endpoint
            )
        )
    except errors.GatedRepoError as error:
        raise WeightsError(
            "weights.licence",
            "The publisher wants the licence accepted on the hub first",
            seen=known.get("licence_url") or known["repo"],
            remedy="Accept it there, then log in once: hf auth login",
        ) from error
    except (
        Exception
    ) as error:  # the hub's HTTP library changed three times (requests, httpx, httpx2); all mean the same
        raise WeightsError(
            "weights.download",
            "The download did not succeed",
            seen=f"{known['repo']}/{path} from {endpoint}: {(str(error).splitlines() or [repr(error)])[0][:160]}",
            remedy="Run the same command again: it goes on where it stopped",
        ) from error


def seal(name: str) -> list[dict[str, Any]]:
    """Write path, size and sha256 of the shipped files of ``name`` into the manifest (for whoever trained them).

    Raises:
        UsageError: ``weights.not-shipped`` for weights without a folder of ours.
    """
    known = entry(name)
    if "folder" not in known:
        raise UsageError("weights.not-shipped", "Only shipped weights are sealed", seen=name)
    folder, path = hub.resolve(name), hub.root() / hub.MANIFEST
    files = [
        {"path": p.relative_to(folder).as_posix(), "size": p.stat().st_size, "sha256": hash_file(p)}
        for p in sorted(folder.rglob("*"))
        if p.suffix in CONTENT and p.is_file() and not _hidden(p, folder)
    ]
    text = path.read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=\[)", text)
    kept = [block for block in blocks if not block.startswith(f"[[weights.{name}.files]]")]
    place = next(i for i, block in enumerate(kept) if block.startswith(f"[weights.{name}]"))
    lines = "".join(
        f'[[weights.{name}.files]]\npath = "{f["path"]}"\nsize = {f["size"]}\nsha256 = "{f["sha256"]}"\n\n'
        for f in files
    )
    kept[place] = kept[place].rstrip() + "\n\n" + lines
    part = path.with_suffix(".part")
    part.write_text("".join(kept).rstrip() + "\n", encoding="utf-8")
    os.replace(part, path)
    hub.manifest.cache_clear()
    return files
