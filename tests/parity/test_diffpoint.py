"""The blocks that DiffPoint cites, against Point-MAE's patch encoder and U-ViT."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.core import checkpoint
from pipelines.diffpoint.network import PatchEncoder, UViT, time_token
from tests.parity.discovery import Case, close, filled, parameters, read_json

TOLERANCE = 1e-5


class ImageUViT(nn.Module):
    """U-ViT for labelled pictures: our blocks between its own ways in and out."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        embed, self.patch, self.channels = config["embed_dim"], config["patch_size"], config["in_chans"]
        self.side = config["img_size"] // self.patch
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(self.channels, embed, self.patch, self.patch)})
        self.label_emb = nn.Embedding(config["num_classes"], embed)
        self.pos_embed = nn.Parameter(torch.zeros(1, 2 + self.side**2, embed))
        self.vit = UViT(embed, config["depth"], config["num_heads"], 4.0)
        self.decoder_pred = nn.Linear(embed, self.patch**2 * self.channels)

    def forward(self, x: Tensor, steps: Tensor, label: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        time = time_token(steps, self.pos_embed.shape[-1])[:, None]
        tokens = torch.cat([self.label_emb(label)[:, None], time, patches], 1) + self.pos_embed
        found = self.decoder_pred(self.vit(tokens)[:, 2:])
        grid = found.view(len(x), self.side, self.side, self.patch, self.patch, self.channels)
        return grid.permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


@pytest.mark.parametrize("case", parameters("diffpoint_blocks", "patch"))
@torch.inference_mode()
def test_patches(case: Case, record: Any) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in case.arrays().items()}
    shapes, salt = read_json(case.path.parent / "manifest.json"), case.entry().get("salt", "")
    encoder_shapes, place_shapes = (shapes[f"pointmae_{part}_{case.name}"] for part in ("encoder", "pos"))
    widths = tuple(encoder_shapes[f"{name}.weight"][0] for name in ("first_conv.0", "first_conv.3", "second_conv.0"))
    encoder = PatchEncoder(encoder_shapes["second_conv.3.weight"][0], widths).eval()
    checkpoint.load_strict(encoder, filled(encoder_shapes, salt), source=case.path.name)
    close("tokens", encoder(arrays["neighborhood"]), arrays["tokens"], TOLERANCE, record)
    hidden, embed = place_shapes["0.weight"][0], place_shapes["2.weight"][0]
    place = nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, embed))
    checkpoint.load_strict(place, filled(place_shapes, salt), source=case.path.name)
    close("pos", place(arrays["center"]), arrays["pos"], TOLERANCE, record)


@pytest.mark.parametrize("case", parameters("diffpoint_blocks", "uvit"))
@torch.inference_mode()
def test_uvit(case: Case, record: Any) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in case.arrays().items()}
    stored, key = read_json(case.path.parent / "manifest.json"), f"uvit_{case.name}"
    config = stored[f"{key}_config"]
    assert not config["mlp_time_embed"] and not config["conv"]
    model = ImageUViT(config).eval()
    state = filled(stored[key], case.entry().get("salt", ""))
    ours = {name if name in model.state_dict() else f"vit.{name}": value for name, value in state.items()}
    checkpoint.load_strict(model, ours, source=case.path.name)
    close("time_embedding", time_token(arrays["t"], config["embed_dim"]), arrays["time_embedding"], TOLERANCE, record)
    close("out", model(arrays["x"], arrays["t"], arrays["y"]), arrays["out"], TOLERANCE, record)
