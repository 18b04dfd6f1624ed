"""The losses of VITON-HD's training on its own data set: SegGenerator and ALIASGenerator against discriminators.

Source: Choi et al., CVPR 2021, arXiv 2103.16874, section 3, for which losses there are. Its training code was not
published, and its appendix could not be read here. SegGenerator's weight of 10 and its rate in training.py are those of
a public reimplementation; all other weights and rates are customary ones for these losses, our choice until checked.

    SegGenerator     10 x cross-entropy + conditional least-squares GAN
    GMM              L1 + 0.04 x second-order constraint (losses.py)
    ALIASGenerator   conditional hinge GAN + 10 x feature matching + 10 x feature distance

Our choices: cross-entropy takes the values before the sigmoid, the discriminator those behind it; the feature distance
of ALIASGenerator is measured with our own human parser's encoder, as the paper's VGG-19 trained on ImageNet cannot be
had offline, so that its weight of 10 means something else here; the true parse stands for the predicted one in GMM and
ALIASGenerator, and a GMM that was trained before bends the cloth for ALIASGenerator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.viton_hd import flow
from pipelines.viton_hd.discriminator import (
    MultiscaleDiscriminator,
    feature_matching,
    frozen,
    hinge,
    hinge_generator,
    least_squares,
)
from pipelines.viton_hd.losses import Features, feature_distance, gmm_loss
from pipelines.viton_hd.paired import seven_classes, unpack
from pipelines.viton_hd.warping import GMM

ENTROPY, MATCHING, DISTANCE = 10.0, 10.0, 10.0
NOISE_SHARE = 0.159  # ones in SegGenerator's noise map


class SegGame:
    """SegGenerator against a discriminator that sees its input beside a parse.

    Called as a loss of `training.fit`; `opposing` is the discriminator's loss on the same batch.
    """

    def __init__(self, critic: MultiscaleDiscriminator) -> None:
        self.critic = critic
        self.made = self.real = torch.empty(0)

    def __call__(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
        """The generator's loss on a batch of `PairedPeople`."""
        inputs, _, parse = unpack(batch)
        noise = (torch.rand(len(parse), 1, *flow.NETWORK_SIZE, device=parse.device) < NOISE_SHARE).float()
        x = flow.seg_inputs(inputs, noise)
        truth = F.interpolate(parse[:, None].float(), size=flow.NETWORK_SIZE)[:, 0].long()
        logits = model.logits(x).float()  # type: ignore[operator]
        entropy = F.cross_entropy(logits, truth)
        made = torch.cat([x, torch.sigmoid(logits)], 1)
        with frozen(self.critic):
            deceived = least_squares(self.critic(made), real=True)
        self.made, self.real = made.detach(), torch.cat([x, flow.one_hot(truth, flow.CLASSES13)], 1)
        return ENTROPY * entropy + deceived, {"entropy": float(entropy.detach()), "gan": float(deceived.detach())}

    def opposing(self) -> tuple[Tensor, dict[str, float]]:
        """The discriminator's least-squares loss on the last batch."""
        made, real = self.critic(self.made), self.critic(self.real)
        return 0.5 * (least_squares(made, real=False) + least_squares(real, real=True)), {}


def paired_gmm_loss(model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
    """`gmm_loss` on a batch of `PairedPeople` at GMM's load size."""
    inputs, image, parse = unpack(batch)
    worn = seven_classes(parse)[:, flow.UPPER7 : flow.UPPER7 + 1]
    height, width = image.shape[2:]
    person, cloth_small = flow.gmm_inputs(inputs, worn, (height // 4, width // 4))
    return gmm_loss(
        model,
        {
            "person": person,
            "cloth_small": cloth_small,
            "cloth": inputs.cloth,
            "cloth_mask": inputs.cloth_mask,
            "worn": image * worn,
            "worn_mask": worn,
        },
    )


class AliasGame:
    """ALIASGenerator against discriminators of several scales that see its input beside a picture.

    Called as a loss of `training.fit`; `opposing` is the discriminators' loss on the same batch.
    """

    def __init__(self, critic: MultiscaleDiscriminator, gmm: GMM, features: Features) -> None:
        self.critic, self.gmm, self.features = critic, gmm.eval().requires_grad_(False), features
        self.made = self.real = torch.empty(0)

    def __call__(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
        """The generator's loss on a batch of `PairedPeople`."""
        inputs, image, parse = unpack(batch)
        labels = seven_classes(parse)
        warped_cloth, warped_mask = flow.warp(inputs, self._grid(inputs, labels))
        x, divided, misalign = flow.alias_inputs(inputs, labels, warped_cloth, warped_mask)
        out = model(x, labels, divided, misalign).float()
        made, real = torch.cat([x, out], 1), torch.cat([x, image], 1)
        with frozen(self.critic):
            judged = self.critic(made)
            with torch.no_grad():
                expected = self.critic(real)
            deceived, matching = hinge_generator(judged), feature_matching(judged, expected)
        distance = feature_distance(self.features, (out + 1) / 2, (image + 1) / 2)
        self.made, self.real = made.detach(), real
        total = deceived + MATCHING * matching + DISTANCE * distance
        return total, {
            "gan": float(deceived.detach()),
            "matching": float(matching.detach()),
            "distance": float(distance.detach()),
            "l1": float((out.detach() - image).abs().mean()),
        }

    def opposing(self) -> tuple[Tensor, dict[str, float]]:
        """The discriminators' hinge loss on the last batch; the paper's objective, halved as is usual for two sides."""
        made, real = self.critic(self.made), self.critic(self.real)
        return 0.5 * (hinge(made, real=False) + hinge(real, real=True)), {}

    @torch.no_grad()
    def _grid(self, inputs: flow.Inputs, labels: Tensor) -> Tensor:
        """GMM's sampling grid at the load size of the batch, whatever GMM's own is: its coordinates know no size."""
        c = self.gmm.config
        upper = labels[:, flow.UPPER7 : flow.UPPER7 + 1]
        _, grid = self.gmm(*flow.gmm_inputs(inputs, upper, (c.load_height // 4, c.load_width // 4)))
        size = (upper.shape[2], upper.shape[3])
        wide = F.interpolate(grid.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=True)
        return wide.permute(0, 2, 3, 1)
