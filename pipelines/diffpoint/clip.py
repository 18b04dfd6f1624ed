"""Tokens of pictures from CLIP's vision tower, for the published size of the network.

Stated by the paper: image embeddings come from CLIP. Not stated: which CLIP, and whether one vector of a picture or a
grid. Taken from Point-E (Nichol et al., 2022; openai/point-e c26852e, models/pretrained_clip.py, MIT), the nearest
public work: ViT-L/14, the 16 x 16 patches of the last layer as they leave it, without the class token and without the
last norm.

CLIP knows three channels and no coverage. Our choice is grey around the object, as `views.as_input` has it, not white:
white objects are common and would lose their outline, and on CLIP's scale this grey is nearly 0, its mean.

transformers (Apache-2.0) runs the tower. It is imported late, and only here.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.core import checkpoint
from pipelines.core.errors import PipelineError, WeightsError
from pipelines.core.runtime import Runtime
from pipelines.diffpoint.network import DiffPointConfig

# Of CLIP's own preparation, on colours from 0 to 1: openai/CLIP, clip/clip.py (MIT).
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class ClipTokens:
    """CLIP's vision tower, frozen. It is no part of the network, and its weights are not among the network's.

    Args:
        model: transformers' CLIPVisionModel.
        where: Device and dtype.
    """

    def __init__(self, model: Any, where: Runtime) -> None:
        # Of weights stored in half it would make a tower in half, which autocast does not feed.
        self.model = model.float().to(where.device).eval().requires_grad_(False)
        self.mean, self.std = (torch.tensor(value, device=where.device).view(3, 1, 1) for value in (MEAN, STD))

    @classmethod
    def from_pretrained(cls, folder: str | Path, where: Runtime) -> ClipTokens:
        """Read ``config.json`` and ``model.safetensors`` of a vision tower, or of a whole CLIP, as transformers writes.

        Raises:
            PipelineError: ``diffpoint.needs-extra`` without transformers.
            WeightsError: ``weights.missing``, ``weights.damaged`` or ``weights.mismatch``.
        """
        if find_spec("transformers") is None:
            raise PipelineError(
                "diffpoint.needs-extra", "This size reads pictures through CLIP, which needs transformers",
                seen="not installed", remedy="pip install 'creative-studio[clip]'",
            )  # fmt: skip
        from transformers import CLIPVisionModel

        kind = checkpoint.read_config(folder).get("model_type")
        if kind not in ("clip", "clip_vision_model"):
            raise _mismatch(folder, f"model_type {kind}")
        try:
            with _quiet():
                loaded: Any = CLIPVisionModel.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, output_loading_info=True
                )
        except Exception as error:  # of transformers, huggingface_hub, safetensors and torch
            raise WeightsError(
                "weights.damaged", "CLIP's vision tower cannot be read", seen=f"{folder}: {error}"[:200],
                remedy="Its folder has config.json and model.safetensors, as transformers writes them",
            ) from error  # fmt: skip
        model, report = loaded
        # transformers draws at random what a file lacks.
        if report["missing_keys"]:
            raise _mismatch(folder, f"missing {', '.join(sorted(report['missing_keys'])[:5])}")
        return cls(model, where)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write it as `from_pretrained` reads it; a pipeline looks for it as ``image_encoder/`` in its own folder."""
        with _quiet():
            self.model.save_pretrained(folder)

    def check(self, shape: DiffPointConfig, *, source: str) -> None:
        """Refuse a tower that another network than ``shape`` was made for.

        Raises:
            WeightsError: ``weights.mismatch``.
        """
        config = self.model.config
        found, wanted = (config.hidden_size, config.image_size), (shape.image_width, shape.image_size)
        if found != wanted:
            raise _mismatch(
                source, f"tokens {found[0]} wide of {found[1]} pixels, instead of {wanted[0]} of {wanted[1]}"
            )

    @torch.no_grad()
    def tokens(self, views: Tensor) -> Tensor:
        """(B, V, 4, S, S) views of `views.as_input`, S pixels as CLIP reads them -> (B, V, patches, width).

        ViT-L/14 makes 256 tokens, 1,024 wide, of 224 pixels.
        """
        colours = views.flatten(0, 1)[:, :3] * 0.5 + 0.5
        found = self.model(pixel_values=(colours - self.mean) / self.std).last_hidden_state[:, 1:]
        return found.reshape(*views.shape[:2], *found.shape[1:])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from telling of progress, and of the other half of CLIP that it leaves out."""
    from transformers.utils import logging as told

    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(logging.CRITICAL)
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()


def _mismatch(source: str | Path, seen: str) -> WeightsError:
    return WeightsError(
        "weights.mismatch", "This is not the CLIP vision tower that the network reads pictures through",
        seen=f"{source}: {seen}", remedy="The published size takes ViT-L/14 at 224 pixels",
    )  # fmt: skip
