"""Directions between the parts: each layer imports only those left of it; heavy things are imported late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ("viton_hd", "ted_viton", "viton_dit", "vitpose", "iml_vit", "vitruvio", "diffpoint")
SHARED = ("person", "mesh", "synthetic")
# From left to right; a module belongs to the first layer that names it or a package it lies in.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("pipelines.core", "pipelines"),
    tuple(f"pipelines.{name}" for name in (*SYSTEMS, *SHARED)),
    ("studio.errors", "studio.setup_env"),
    ("studio.recipe", "studio.settings", "studio.disk", "studio.media", "studio.meshes", "studio.clouds",
     "studio.pictures",
     "studio.sidecar", "studio.certificates", "studio.credentials", "studio.provenance", "studio.verdicts",
     "studio.traces", "studio.exif", "studio.makers", "studio.picture_files", "studio.jpeg_history",
     "studio.thumbnails", "studio.weights"),
    ("studio.print_settings", "studio.database", "studio.registry", "studio.runners", "studio.sealing",
     "studio.store", "studio.targets", "studio.viewing", "studio.engine", "studio.systems"),
    ("studio.queue", "studio.worker", "studio.batch", "studio.replay", "studio.checking", "studio.html_report",
     "studio.executors", "studio.remote"),
    ("studio.page", "studio.doctor", "studio.api", "studio.commands", "studio.cli", "studio.ui", "studio.demo",
     "studio.__main__"),
)  # fmt: skip
HEAVY = {
    "torch",
    "torchvision",
    "cv2",
    "streamlit",
    "open3d",
    "diffusers",
    "transformers",
    "xformers",
    "scipy",
    "skimage",
    "trimesh",
    "manifold3d",
    "ifcopenshell",
    "laspy",
    "lazrs",
    "c2pa",
    "cryptography",
}
PRODUCT = {"numpy", "PIL", "pydantic", "pydantic_settings", "sqlite3", "rich", "huggingface_hub", *HEAVY}


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of ours."""
    for package in ("pipelines", "studio"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())
SOURCES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(name: str, *, late: bool = True) -> set[str]:
    """Dotted names that a module imports; without ``late`` only those that run when it is imported itself."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if typing_only or (not late and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(SOURCES[name])
    return found


def layer(name: str) -> int | None:
    """Number of the layer that a module lies in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        for number, names in enumerate(LAYERS):
            if prefix in names:
                return number
    return None


@pytest.mark.parametrize("name", [name for name in MODULES if name != "studio"])
def test_imports_go_left(name: str) -> None:
    own = layer(name)
    assert own is not None, f"{name} belongs to no layer: name it in LAYERS"
    wrong = [other for other in imports(name) if other in MODULES and other != "studio" and (layer(other) or 0) > own]
    assert wrong == []


def test_pipelines_never_import_studio() -> None:
    assert [
        n for n in MODULES if n.startswith("pipelines") and any(o.split(".")[0] == "studio" for o in imports(n))
    ] == []


def test_core_imports_no_system() -> None:
    core = [name for name in MODULES if name.startswith("pipelines.core")]
    others = {
        name: [o for o in imports(name) if o.startswith("pipelines.") and not o.startswith("pipelines.core")]
        for name in core
    }
    assert {name: found for name, found in others.items() if found} == {}


def test_the_page_computes_nothing() -> None:
    """The page imports neither torch nor a pipeline; words and errors of the core are all it may know of them."""
    harmless = {"pipelines.core.errors", "pipelines.core.types"}
    for name in (name for name in MODULES if name.startswith("studio.ui")):
        names = imports(name)
        assert {o for o in names if o.startswith("pipelines")} <= harmless, name
        assert {o.split(".")[0] for o in names} & {"torch", "cv2"} == set(), name


def test_nothing_imports_the_page() -> None:
    for name in (name for name in MODULES if not name.startswith("studio.ui")):
        assert [other for other in imports(name) if other.startswith("studio.ui")] == [], name


@pytest.mark.parametrize("system", SYSTEMS)
def test_networks_do_not_know_each_other(system: str) -> None:
    own = [
        name for name in MODULES if name.startswith(f"pipelines.{system}.") and name.endswith((".network", ".decoding"))
    ]
    for name in own:
        others = [o for o in imports(name) if o.startswith("pipelines.") and o.split(".")[1] in SYSTEMS]
        assert [other for other in others if other.split(".")[1] != system] == [], name


def test_only_the_engine_calls_pipelines() -> None:
    """Besides the core's words, pipelines are imported by runners, by what trains and scores, and for mesh files."""
    allowed = ("studio.meshes", "studio.clouds", "studio.engine", "studio.runners", "studio.systems", "studio.doctor")
    for name in (name for name in MODULES if name.startswith("studio")):
        beyond = {o for o in imports(name) if o.startswith("pipelines.") and not o.startswith("pipelines.core")}
        assert not beyond or name.startswith(allowed), (name, beyond)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("studio")])
def test_heavy_imports_are_late(name: str) -> None:
    heavy = {other.split(".")[0] for other in imports(name, late=False)} & HEAVY
    assert heavy <= ({"streamlit"} if name.startswith("studio.ui") else set())


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name.startswith("studio.commands") or name == "studio.cli"]
)
def test_the_command_line_starts_light(name: str) -> None:
    assert {other.split(".")[0] for other in imports(name, late=False)} & PRODUCT == set()


def calls(name: str) -> Iterator[tuple[str, int]]:
    """Dotted names that a module calls."""
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize(
    ("call", "only"),
    [
        ("torch.load", "pipelines.core.checkpoint"),
        ("sqlite3.connect", "studio.database"),
        ("pickle.load", ""),
        ("pickle.loads", ""),
        ("eval", ""),
        ("exec", ""),
        ("print", "streamlit_app"),
    ],
)
def test_one_place_for_each(call: str, only: str) -> None:
    places = {name for name in MODULES for found, _ in calls(name) if found == call}
    assert places <= {only}


def test_torch_load_is_strict() -> None:
    found = [
        node
        for node in ast.walk(SOURCES["pipelines.core.checkpoint"])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert len(found) == 1
    (weights_only,) = [word.value for word in found[0].keywords if word.arg == "weights_only"]
    assert isinstance(weights_only, ast.Constant) and weights_only.value is True


def test_the_schema_has_one_home() -> None:
    makers = [
        name
        for name in MODULES
        for node in ast.walk(SOURCES[name])
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "CREATE TABLE" in node.value
    ]
    assert set(makers) == {"studio.database"}


def test_asserts_are_for_tests() -> None:
    found = [(name, n.lineno) for name in MODULES for n in ast.walk(SOURCES[name]) if isinstance(n, ast.Assert)]
    assert found == []


def loaded(code: str) -> set[str]:
    """Top-level modules that a fresh process has after running ``code``."""
    script = f"import sys\n{code}\nsys.stderr.write(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import studio",
        "from studio.cli import run; run(['--help'])",
        "from studio.cli import run; run(['tryon', '--help'])",
        "from studio.cli import run; run(['weights', 'ls', '--help'])",
    ],
)
def test_help_imports_nothing_heavy(code: str) -> None:
    assert loaded(code) & (PRODUCT - {"pydantic", "sqlite3"}) == set()  # typer itself checks options with pydantic


@pytest.mark.parametrize(
    "code",
    [
        "import studio.ui.asking, studio.ui.inputs, studio.ui.results, studio.ui.watching",
        "import studio.queue",
        "import studio.worker",
        "import studio.api",
    ],
)
def test_the_product_imports_no_torch(code: str) -> None:
    assert loaded(code) & (HEAVY - {"streamlit"}) == set()
