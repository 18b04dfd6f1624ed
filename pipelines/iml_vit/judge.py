"""A head of the starter's own for the picture as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = 4
TOP = 0.005  # share of the map that its most suspicious logits are, whose mean is looked at


class Judge(nn.Module):
    """One logit for a picture: was anything in it manipulated?

    The published network has none, and the highest value of a map is a poor answer. Tokens are pooled by where the map
    and the tokens themselves point to. No gradient goes through the map, so that its head is not bent by this one; the
    encoder learns from both. All is float32: there is one number to get right, and little to compute.
    """

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed, eps=1e-6)
        self.point = nn.Linear(embed + 1, POOLS)
        self.hidden = nn.Linear((POOLS + 1) * embed + 2, embed)
        self.predict = nn.Linear(embed, 1)

    def forward(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """(B, C, h, w) of the encoder and (B, 1, 4h, 4w) of the head -> (B,) logits, float32."""
        with torch.autocast(tokens.device.type, enabled=False):
            logits = logits.detach().float().clamp(-10, 10)
            rows = self.norm(tokens.float().flatten(2).transpose(1, 2))
            peaks = F.max_pool2d(logits, 4).flatten(2).transpose(1, 2)
            shares = self.point(torch.cat([rows, peaks], 2)).softmax(1)
            pooled = torch.cat([shares.transpose(1, 2) @ rows, rows.mean(1, keepdim=True)], 1).flatten(1)
            flat = logits.flatten(1)
            top = flat.topk(max(1, round(flat.shape[1] * TOP))).values.mean(1, keepdim=True)
            return self.predict(F.gelu(self.hidden(torch.cat([pooled, top, flat.mean(1, keepdim=True)], 1))))[:, 0]
