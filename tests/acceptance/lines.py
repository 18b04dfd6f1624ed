"""The acceptance lines that a command can measure: one function each, every figure from a process of its own.

A line returns named figures and the bounds they have to meet. What is missing (a data set, a device) makes it skip,
with the reason; what breaks makes it fail, with the last lines of what the command said.
"""

from __future__ import annotations

import json
import operator
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STUDIO = [sys.executable, "-m", "studio"]


class Skip(Exception):
    """This line cannot be measured here; the message says why."""


class Broken(Exception):
    """The command that measures this line failed; the message is what it said."""


@dataclass(frozen=True)
class Figure:
    """One measured number and what it has to be.

    Attributes:
        name: As specified, e.g. ``miou``.
        value: What was measured.
        bound: What it is held to; None for a figure that only informs.
        sign: ``>=``, ``<=`` or ``==``.
    """

    name: str
    value: float
    bound: float | None = None
    sign: str = ">="

    @property
    def met(self) -> bool:
        """Whether the bound holds; a figure without one always does."""
        if self.bound is None:
            return True
        compare = {">=": operator.ge, "<=": operator.le, "==": operator.eq}[self.sign]
        return compare(self.value, self.bound)


@dataclass(frozen=True)
class Context:
    """What the lines may use.

    Attributes:
        scratch: An empty folder; also the home of every studio that is started.
        data: Folder with ccp/, lspet/ and garments/, or None.
        fresh: Whether to clone and install from nothing, which takes minutes.
        samples: How many rendered people `viton-hd` is measured on.
    """

    scratch: Path
    data: Path | None
    fresh: bool
    samples: int
    notes: list[str] = field(default_factory=list)

    def dataset(self, name: str) -> Path:
        """Folder of one data set."""
        if self.data is None:
            raise Skip(f"no data folder given (DATA=...), {name} is needed")
        if not (self.data / name).is_dir():
            raise Skip(f"{self.data / name} does not exist")
        return self.data / name

    def run(self, command: list[str], *, timeout: float = 3600, cwd: Path = ROOT, **env: str) -> tuple[str, float]:
        """Run a command; return its standard output and the seconds it took."""
        surroundings = {**os.environ, "STUDIO_HOME": str(self.scratch / "home"), "STUDIO_OFFLINE": "1", **env}
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command, cwd=cwd, env=surroundings, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Broken(f"no end after {timeout:.0f} s: {' '.join(command)}") from error
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
            raise Broken(f"exit code {done.returncode}: {' '.join(command)}\n{tail}")
        return done.stdout, seconds

    def measure(self, *arguments: str) -> dict[str, Any]:
        """Run ``studio eval ...`` and return its JSON object."""
        return read_object(self.run([*STUDIO, "eval", *arguments, "--json"])[0])

    def child(self, module: str, *arguments: str) -> dict[str, Any]:
        """Run a module of this package in its own process and return the JSON object that it prints."""
        return read_object(self.run([sys.executable, "-m", f"tests.acceptance.{module}", *arguments])[0])

    def pytest(self, *arguments: str) -> list[Figure]:
        """Run tests; return how many passed, failed and were skipped."""
        report = self.scratch / f"junit-{time.monotonic_ns()}.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        try:
            self.run(command, OMP_NUM_THREADS="1")
        except Broken:
            if not report.exists():
                raise
        return junit_figures(report)


def read_object(text: str) -> dict[str, Any]:
    """Parse the one JSON object that a command printed."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Broken(f"no JSON on standard output: {text[:200]!r}") from error
    if not isinstance(value, dict):
        raise Broken(f"not one JSON object: {text[:200]!r}")
    return value


def junit_figures(report: Path) -> list[Figure]:
    """Count the outcomes in a JUnit report: everything collected has to pass, and at least one has to."""
    from xml.etree import ElementTree

    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    count = {
        name: sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    }
    bad = count["failures"] + count["errors"]
    passed = count["tests"] - bad - count["skipped"]
    return [Figure("passed", passed, 1), Figure("failed", bad, 0, "=="), Figure("skipped", count["skipped"])]


def sample_pair() -> tuple[Path, Path]:
    """The first person and the first garment of the samples."""
    folder = ROOT / "assets" / "samples"
    people, garments = sorted(folder.glob("people/*.*")), sorted(folder.glob("garments/*.*"))
    if not people or not garments:
        raise Broken(f"no sample pictures under {folder}")
    return people[0], garments[0]


def parity(context: Context) -> list[Figure]:
    """tests/parity, every discovered case."""
    return context.pytest("tests/parity")


def bad_inputs(context: Context) -> list[Figure]:
    """Truncated, huge, hostile, missing, unwritable: one clear error each."""
    return context.pytest("tests", "-k", "bad_input or badinput or hostile", "-m", "not browser")


def killed(context: Context) -> list[Figure]:
    """Kill -9 at random moments leaves nothing half-written."""
    return context.pytest("tests", "-k", "kill", "-m", "not browser")


def parsing(context: Context) -> list[Figure]:
    """`studio eval parsing` on the validation split."""
    got = context.measure("parsing", "--data", str(context.dataset("ccp")), "--split", "val")
    return [Figure("miou", got["miou"], 0.50)] + [Figure(f"iou {name}", value) for name, value in got["iou"].items()]


def pose(context: Context) -> list[Figure]:
    """`studio eval pose` on the validation split."""
    got = context.measure("pose", "--data", str(context.dataset("lspet")), "--split", "val")
    return [Figure("pck", got["pck"], 0.60)]


def rendered(context: Context) -> list[Figure]:
    """`studio eval viton-hd --rendered`: against the box paste, on people that need no data set."""
    got = context.measure("viton-hd", "--rendered", str(context.samples), "--seed", "0")
    return [
        Figure("rendered_ssim", got["rendered_ssim"], got["rendered_ssim_baseline"] + 0.05),
        Figure("rendered_l1", got["rendered_l1"], got["rendered_l1_baseline"] * 0.85, "<="),
        Figure("edited_outside_mask", got["edited_outside_mask"], 0, "=="),
    ]


def photographs(context: Context) -> list[Figure]:
    """`studio eval viton-hd --data`: the re-dressed and the silhouette test."""
    folders = ["--data", str(context.dataset("ccp")), "--garments", str(context.dataset("garments"))]
    got = context.measure("viton-hd", *folders, "--split", "val")
    return [
        Figure("ssim", got["ssim"], got["ssim_baseline"]),
        Figure("l1", got["l1"], got["l1_baseline"], "<="),
        Figure("silhouette_iou", got["silhouette_iou"], max(0.76, got["silhouette_iou_baseline"])),
        Figure("edited_outside_mask", got["edited_outside_mask"], 0, "=="),
    ]


def help_time(context: Context) -> list[Figure]:
    """`studio --help`, median of seven."""
    script = Path(sys.executable).with_name("studio.exe" if os.name == "nt" else "studio")
    command = [str(script)] if script.exists() else STUDIO
    context.run([*command, "--help"])  # the first start compiles
    return [Figure("seconds", statistics.median(context.run([*command, "--help"])[1] for _ in range(7)), 0.4, "<=")]


def cold(context: Context) -> list[Figure]:
    """`studio tryon` as a newcomer starts it, files already in the disk cache, median of three."""
    person, garment = sample_pair()
    seconds = []
    for turn in range(4):
        target = context.scratch / f"cold-{turn}.png"
        command = [*STUDIO, "tryon", str(person), str(garment), "--out", str(target), "--seed", str(turn)]
        seconds.append(context.run(command)[1])
        if not target.is_file():
            raise Broken(f"exit code 0, but {target.name} was not written")
    return [Figure("seconds", statistics.median(seconds[1:]), 8.0, "<=")]


def warm(context: Context) -> list[Figure]:
    """One process, models loaded: a 768x1024 photo, all steps, median of five, and the process's peak memory."""
    person, garment = sample_pair()
    got = context.child("warm_tryon", str(person), str(garment))
    return [Figure("seconds", got["seconds"], 3.0, "<="), Figure("peak_rss_gb", got["peak_rss_gb"], 2.0, "<=")]


def vitruvio(context: Context) -> list[Figure]:
    """`studio eval vitruvio --rendered 200`: the fixed set of buildings, beside retrieval and the mean shape."""
    got = context.measure("vitruvio", "--rendered", "200")
    families = got["families"]
    return [
        Figure("iou", got["iou"], 0.72),
        Figure("iou l-plan", families["l-plan"]["iou"], 0.60),
        Figure("iou t-plan", families["t-plan"]["iou"], 0.60),
        Figure("chamfer_l1_x10", got["chamfer_l1_x10"], 0.40, "<="),
        Figure("watertight_share", got["watertight_share"], 1.0),
        *(Figure(f"iou {name} over retrieval", row["iou"], row["retrieval_iou"]) for name, row in families.items()),
        *(Figure(f"iou {name} over mean shape", row["iou"], row["mean_shape_iou"]) for name, row in families.items()),
    ]


def solids(context: Context) -> list[Figure]:
    """200 outputs before any repair, and what slicers say of their files."""
    got = context.child("solids")
    rows = [Figure("solid", got["solid"], got["count"]), Figure("strict_warnings", got["strict_warnings"], 0, "==")]
    if not got["slicer"]:
        raise Skip("prusa-slicer is not installed")
    return [
        *rows,
        Figure("files a slicer is content with", got["content"], 2 * got["count"]),
        Figure("volume_off_max", got["volume_off_max"], 0.03, "<="),
    ]


def warm_building(context: Context) -> list[Figure]:
    """One process, model loaded: sketch to printable 3MF, median of seven."""
    got = context.child("warm_building", str(_samples("sketches")[0]))
    return [Figure("seconds", got["seconds"], 1.5, "<="), Figure("peak_rss_gb", got["peak_rss_gb"])]


def _samples(folder: str) -> list[Path]:
    found = sorted((ROOT / "assets" / "samples" / folder).glob("*.jpg"))
    if not found:
        raise Broken(f"no sample {folder}")
    return found


def diffpoint(context: Context) -> list[Figure]:
    """`studio eval diffpoint --rendered 200`: the fixed set of objects, of one picture and three, beside retrieval."""
    got = context.measure("diffpoint", "--rendered", "200")
    never, kinds = got["held_out"], got["categories"]
    return [
        Figure("chamfer", got["chamfer"], 0.85 * got["chamfer_retrieval"], "<="),
        Figure("chamfer learnt", got["trained"]["chamfer"], 0.85 * got["trained"]["chamfer_retrieval"], "<="),
        Figure(f"chamfer {never['category']} (never trained on)", never["chamfer"], 0.85 * never["chamfer_retrieval"],
               "<="),
        *(Figure(f"chamfer {name}", row["chamfer"], 0.85 * row["chamfer_retrieval"], "<=")
          for name, row in kinds.items()),
        *(Figure(f"chamfer {name} of three", row["chamfer_3views"], row["chamfer"], "<=")
          for name, row in kinds.items()),
    ]  # fmt: skip


def object_solids(context: Context) -> list[Figure]:
    """Solids of 60 clouds, or the reason why there is none, and what slicers say of their files."""
    got = context.child("object_solids")
    if not got["slicer"]:
        raise Skip("prusa-slicer is not installed")
    refused = sum(got["refused"].values())
    return [
        Figure("solid or refused", got["solid"] + refused, got["count"]),
        Figure("refused", refused),
        Figure("strict_warnings", got["strict_warnings"], 0, "=="),
        Figure("files a slicer is content with", got["content"], 2 * got["solid"]),
        Figure("volume_off_max", got["volume_off_max"], 0.03, "<="),
    ]


def warm_object(context: Context) -> list[Figure]:
    """One process, model loaded: one picture to 2,048 points in 20 steps, median of seven."""
    got = context.child("warm_object", str(_samples("objects")[0]))
    return [Figure("seconds", got["seconds"], 3.0, "<="), Figure("peak_rss_gb", got["peak_rss_gb"])]


def tampering(context: Context) -> list[Figure]:
    """`studio eval iml-vit` on the set that is fixed by its hash, made of photographs that were never trained on."""
    folder = tampered_set(context)
    got = context.measure("iml-vit", "--data", str(folder))
    return [
        Figure("f1", got["trained"]["f1"], 0.50),
        Figure("auc_image", got["trained"]["auc_image"], 0.85),
        Figure("auc_pixel", got["auc_pixel"]),
        Figure("false_alarm_rate", got["false_alarm_rate"], 0.05, "<="),
        Figure(f"f1 {got['held_out']['kind']} (never trained on)", got["held_out"]["f1"]),
        *(Figure(f"f1 {kind}", row["f1"]) for kind, row in got["kinds"].items()),
        *(Figure(f"false alarms {name}", row["false_alarm_rate"]) for name, row in got["variants"].items()),
    ]


def tampered_set(context: Context) -> Path:
    """Write the evaluation set of the detector, once."""
    folder = context.scratch / "tampered"
    if not folder.exists():
        sources = [str(context.dataset(name)) for name in ("ccp", "garments")]
        context.run([*STUDIO, "data", "tampered", *sources, "--out", str(folder), "--json"])
    return folder


def detector(context: Context) -> list[Figure]:
    """The detector at its published size: peak memory; and what bfloat16 marks against float32."""
    agreed = context.child("detector", "agreement", str(tampered_set(context)))
    return [
        Figure("peak_rss_gb at 1024", context.child("detector", "memory")["peak_rss_gb"], 2.0, "<="),
        Figure("iou bfloat16, float32", agreed["iou"], 0.98),
    ]


def seals(context: Context) -> list[Figure]:
    """50 sealed files of every format with one byte changed, other programs, a foreign signer, a seal's costs."""
    got = context.child("seals", "50")
    rows = []
    for name, row in got["flips"].items():
        rows += [Figure(f"{name} sound", row["sound"], 50), Figure(f"{name} changed", row["file: detected"], 50)]
        if "manifest file: detected" in row:
            rows.append(Figure(f"{name} manifest changed", row["manifest file: detected"], 50))
    saved, signers = got["saved_again"], got["foreign"]
    return [
        *rows,
        Figure("no seal after saving again", sum(status == "none" for status in saved.values()), len(saved)),
        Figure("foreign signers told", sum(status == "foreign" for status in signers.values()), 2),
        Figure("slowest seal, ms", max(row["ms"] for row in got["costs"].values()), 150, "<="),
        Figure("lib3mf warnings", got["3mf"]["lib3mf_warnings"], 0, "=="),
    ]


def sizes(context: Context) -> list[Figure]:
    """What the starter weights and the copies of the parity cases weigh, in MB."""
    del context

    def megabytes(folder: Path) -> float:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6

    starter = megabytes(ROOT / "weights" / "starter")
    if starter == 0:
        raise Broken("weights/starter is empty")
    building, objects, detector = (
        megabytes(ROOT / "weights" / "starter" / name) for name in ("vitruvio", "diffpoint", "iml-vit")
    )
    return [
        Figure("starter_mb try-on", starter - building - objects - detector, 24, "<="),
        Figure("starter_mb building", building, 10, "<="),
        Figure("starter_mb object", objects, 8, "<="),
        Figure("starter_mb detector", detector, 12, "<="),
        Figure("parity_mb", megabytes(ROOT / "tests/parity/data"), 6, "<="),
    ]


def bfloat16(context: Context) -> list[Figure]:
    """Parsing of real photographs in bfloat16 against float32: share of the person's pixels whose label moves."""
    got = context.child("bf16_labels", str(context.dataset("ccp") / "images"))
    if got["skipped"]:
        raise Skip(got["skipped"])
    return [Figure("moved_share_max", got["moved_share_max"], 0.01, "<="), Figure("photos", got["photos"], 20)]


def bench(context: Context) -> list[Figure]:
    """The networks at their published size, against the plain networks in the same run."""
    target = context.scratch / "bench.json"
    context.run([sys.executable, "-m", "tests.benchmarks", "--out", str(target)])
    got = json.loads(target.read_text(encoding="utf-8"))
    tryon, building, large = got["viton-hd"], got["vitruvio"], got["iml-vit"]["sides"]["1024"]
    bound, half = (2.0, 3.5) if tryon["bf16_in_hardware"] else (None, None)
    return [
        Figure("viton-hd ratio_to_eager_fp32", tryon["ratio"], bound),
        *(Figure(f"{row['name']} seconds", row["seconds"]) for row in tryon["networks"]),
        Figure("vitruvio seconds", building["seconds"], 2.5, "<="),
        Figure("vitruvio ratio_to_plain", building["ratio_to_plain"]),
        Figure("vitruvio ratio_to_dense", building["ratio_to_dense"]),
        Figure("iml-vit ratio bfloat16", large["ratio"]["bfloat16"], half),
        Figure("iml-vit ratio float32", large["ratio"]["float32"], 1.5),
    ]


def fresh(context: Context) -> list[Figure]:
    """A clone in an empty folder, a new environment: `make demo`, then `make test`."""
    if not context.fresh:
        raise Skip("takes minutes; ask for it with FRESH=1")
    clone = context.scratch / "clone"
    context.run(["git", "clone", "--quiet", str(ROOT), str(clone)])
    demo = context.run(["make", "demo"], cwd=clone, timeout=1200)[1]
    tests = context.run(["make", "test"], cwd=clone, timeout=2400)[1]
    return [Figure("demo_seconds", demo, 360, "<="), Figure("test_seconds", tests, 600, "<=")]


LINES: dict[str, Callable[[Context], list[Figure]]] = {
    "parity": parity,
    "parsing": parsing,
    "pose": pose,
    "viton-hd rendered": rendered,
    "viton-hd photographs": photographs,
    "help": help_time,
    "cold": cold,
    "warm": warm,
    "vitruvio": vitruvio,
    "solids": solids,
    "warm building": warm_building,
    "diffpoint": diffpoint,
    "object solids": object_solids,
    "warm object": warm_object,
    "tampering": tampering,
    "detector": detector,
    "seals": seals,
    "sizes": sizes,
    "bfloat16": bfloat16,
    "bench": bench,
    "bad inputs": bad_inputs,
    "killed": killed,
    "fresh clone": fresh,
}

# What no command can decide, so that the table does not look complete when it is not.
BY_HAND = {
    "contact sheet": "24 unpaired results, judged by people who do not know which system made which",
    "page": "looks finished at 1280 and at 390 px width",
}
