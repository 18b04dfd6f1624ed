"""The README and the pages beside it say what the program does: commands, exit codes, make targets, links, cards."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from studio import errors
from studio.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "weights" / "cards").glob("*.md"))]
CARD_HEADINGS = re.findall(r"^## .*$", (ROOT / "weights/cards/TEMPLATE.md").read_text(encoding="utf-8"), re.MULTILINE)


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every visible command that can be run, with its help."""
    children = getattr(group, "commands", None)
    if children is None:
        yield path, str(getattr(group, "help", "") or "")
        return
    for name, child in sorted(children.items()):
        if not child.hidden:
            yield from commands(child, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def table_rows(first: str) -> list[list[str]]:
    """Rows of the README's table whose heading starts with ``first``."""
    lines = README.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def documented() -> set[tuple[str, ...]]:
    """Commands of the README's table; ``studio weights ls`, `info`` names two."""
    found: set[tuple[str, ...]] = set()
    for cells in table_rows("command"):
        spans = re.findall(r"`([^`]+)`", cells[0])
        words = [word for word in spans[0].split() if re.fullmatch(r"[a-z][a-z-]*", word)][1:]
        found.add(tuple(words))
        found.update((*words[:-1], other) for other in spans[1:])
    return found


def test_every_command_is_in_the_readme() -> None:
    assert set(COMMANDS) == documented()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does(path: tuple[str, ...]) -> None:
    assert len(COMMANDS[path].split()) >= 3


def test_exit_codes() -> None:
    names = ("OK", "BUG", "USAGE", "SOME_FAILED", "WEIGHTS", "MEMORY", "INPUT", "GATE", "INTERRUPTED")
    assert [int(cells[0]) for cells in table_rows("code")] == [getattr(errors, name) for name in names]


def test_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    spans = r"(?:^|`)make ([a-z-]+)"  # in a block of code, or between backticks
    used = {name for page in PAGES for name in re.findall(spans, page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {"demo", "test", "studio", "check", "bench", "accept"} <= used <= targets
    for name in sorted(used):
        done = subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [
        link for link in re.findall(r"\]\(([^)#\s]+)", text) if not link.startswith(("http:", "https:", "mailto:"))
    ]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_first_screen() -> None:
    """What it is, a picture it made, the two commands: before the first heading below the title."""
    screen = README.split("\n## ")[0]
    assert re.search(r"!\[[^\]]+\]\(docs/demo\.jpg\)", screen)
    assert "make demo" in screen and "make test" in screen
    assert len(screen.splitlines()) <= 40


@pytest.mark.parametrize("folder", sorted((ROOT / "weights" / "starter").iterdir()), ids=lambda folder: folder.name)
def test_every_starter_has_a_card(folder: Path) -> None:
    card = ROOT / "weights" / "cards" / f"{folder.name}.md"
    text = card.read_text(encoding="utf-8")
    assert [heading for heading in CARD_HEADINGS if heading not in text] == []
    assert "Licence" in text and "Commercial use" in text


def test_responsible_use_names_what_matters() -> None:
    text = (ROOT / "docs" / "responsible-use.md").read_text(encoding="utf-8").lower()
    assert [word for word in ("consent", "minors", "undressing", "edited", "licence") if word not in text] == []
