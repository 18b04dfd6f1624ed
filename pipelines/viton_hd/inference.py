"""The same weights, several times faster: forward passes of VITON-HD for use, not for training.

`accelerate(network, dtype)` copies the weights of a network once (spectral norms divided out, channels last, reduced
precision) and returns a callable with the signature of the network's forward. What it does differently:

* Labels are constant over most of a picture, and scale and shift depend on 5x5 labels only. So each resolution is cut
  into tiles; a tile of one label gets one computed scale and shift, and only tiles with an edge are convolved. Exact
  up to rounding, for any labels.
* A shift followed by a 1x1 convolution without bias is one 3x3 convolution to fewer channels.
* Instance norm of one sample is batch norm, whose kernels are fast in channels-last bfloat16; its statistics are
  those of x plus, in closed form, the noise.
* Mask norm is matrix products with the two region masks.

tests/viton_hd/test_inference.py holds it to the plain networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.viton_hd.network import EPS, ALIASGenerator, AliasNorm, AliasResBlock, Noise, SegGenerator, fresh_noise
from pipelines.viton_hd.network import finish as tanh_colours
from pipelines.viton_hd.tiles import Plan, make_plan, mask_statistics, statistics
from pipelines.viton_hd.warping import GMM, correlation

TILE = 16
CHUNK = 8192  # pixels convolved at once: hidden activations of one chunk stay in the cache


def accelerate(network: nn.Module, dtype: torch.dtype = torch.float32) -> Callable[..., Any]:
    """Prepare a network for inference.

    Args:
        network: SegGenerator, GMM or ALIASGenerator, on its device; not modified, its state dict stays as it is.
        dtype: Of convolutions; statistics and theta are always float32.

    Returns:
        A callable that takes what ``network.forward`` takes and returns the same in float32.
    """
    if isinstance(network, SegGenerator):
        return FastSeg(network, dtype)
    if isinstance(network, GMM):
        return FastGmm(network, dtype)
    if isinstance(network, ALIASGenerator):
        return FastAlias(network, dtype)
    raise TypeError(f"accelerate() knows the three VITON-HD networks, not {type(network).__name__}")


@dataclass(frozen=True)
class Conv:
    """Weights of one convolution, ready to run."""

    weight: Tensor
    bias: Tensor | None
    stride: int = 1
    padding: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def _ready(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, stride: int = 1, padding: int = 1) -> Conv:
    weight = weight.detach().to(dtype, copy=True, memory_format=torch.channels_last)
    return Conv(weight, None if bias is None else bias.detach().to(dtype, copy=True), stride, padding)


def _of(module: Any, dtype: torch.dtype) -> Conv:
    padding, stride = module.weight.shape[2] // 2, 1
    if isinstance(module, nn.Conv2d):
        padding, stride = int(module.padding[0]), int(module.stride[0])
    return _ready(module.weight, module.bias, dtype, stride=stride, padding=padding)


# ------------------------------------------------------------------------------------------- segmentation and warping


class FastSeg:
    """SegGenerator for use."""

    def __init__(self, network: SegGenerator, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.levels = {name: self._convs(part, dtype) for name, part in network.named_children()}

    @staticmethod
    def _convs(part: nn.Module, dtype: torch.dtype) -> list[tuple[Conv, bool]]:
        layers = list(part.children())
        normed = [isinstance(after, nn.InstanceNorm2d) for after in layers[1:]] + [False]
        return [(_of(x, dtype), norm) for x, norm in zip(layers, normed, strict=True) if isinstance(x, nn.Conv2d)]

    def _run(self, name: str, x: Tensor) -> Tensor:
        for conv, normed in self.levels[name]:
            x = conv(x)
            if normed:
                x = F.batch_norm(x, None, None, training=True, eps=EPS).relu_()
        return x

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """(B, input_nc, H, W) float32 -> (B, output_nc, H, W) float32 in [0, 1]."""
        return torch.cat([self._one(sample[None]) for sample in x])

    def _one(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype, memory_format=torch.channels_last)
        skips = []
        for level in range(1, 6):
            x = self._run(f"conv{level}", x if level == 1 else F.max_pool2d(x, 2))
            skips.append(x)
        for level, skip in zip(range(6, 10), skips[3::-1], strict=True):
            x = self._run(f"conv{level}", torch.cat([skip, self._run(f"up{level}", _double(x))], 1))
        return torch.sigmoid(x.float()).contiguous()


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class FastGmm:
    """GMM for use: feature extraction in ``dtype``, correlation, regression and spline in float32."""

    def __init__(self, network: GMM, dtype: torch.dtype) -> None:
        self.dtype, self.regression, self.grid = dtype, network.regression, network.grid
        self.sides = [self._layers(side.model) for side in (network.extractionA, network.extractionB)]

    def _layers(self, model: nn.Sequential) -> list[tuple[Conv, nn.BatchNorm2d | None]]:
        layers = list(model)
        after = [layers[i + 2] if i + 2 < len(layers) else None for i in range(len(layers))]
        return [
            (_of(layer, self.dtype), norm if isinstance(norm, nn.BatchNorm2d) else None)
            for layer, norm in zip(layers, after, strict=True)
            if isinstance(layer, nn.Conv2d)
        ]

    def _features(self, layers: list[tuple[Conv, nn.BatchNorm2d | None]], x: Tensor) -> Tensor:
        x = x.to(self.dtype, memory_format=torch.channels_last)
        for conv, norm in layers:
            x = conv(x).relu_()
            if norm is not None:
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return F.normalize(x.float().contiguous(), dim=1)

    @torch.inference_mode()
    def __call__(self, person: Tensor, cloth: Tensor) -> tuple[Tensor, Tensor]:
        """As GMM.forward."""
        a, b = (self._features(side, x) for side, x in zip(self.sides, (person, cloth), strict=True))
        theta = self.regression(correlation(a, b))
        return theta, self.grid(theta)


# --------------------------------------------------------------------------------------------------------- synthesis


class FastNorm:
    """One AliasNorm for use, optionally with the 1x1 convolution that follows it."""

    def __init__(self, norm: AliasNorm, dtype: torch.dtype, after: Tensor | None = None) -> None:
        shared, gamma, beta = norm.conv_shared[0], norm.conv_gamma, norm.conv_beta
        weight, bias = beta.weight.detach().float(), beta.bias.detach().float()  # type: ignore[union-attr]
        if after is not None:  # the shift goes through the 1x1 convolution ahead of time
            weight = (after.flatten(1) @ weight.flatten(1)).view(-1, *weight.shape[1:])
            bias = after.flatten(1) @ bias
        self.channels = len(gamma.weight)
        self.noise_scale = norm.noise_scale.detach().float().clone()
        self.noisy = bool((self.noise_scale != 0).any())
        self.shared = _ready(shared.weight, shared.bias, dtype, padding=0)  # type: ignore[arg-type]
        both = torch.cat([gamma.weight.detach().float(), weight]), torch.cat([gamma.bias.detach().float() + 1, bias])  # type: ignore[union-attr]
        self.modulation = _ready(*both, dtype, padding=0)
        self.after = None if after is None else _ready(after, None, dtype, padding=0)

    def __call__(self, tiles: Tensor, mean: Tensor, variance: Tensor, plan: Plan, noise: Tensor | None) -> Tensor:
        """Normalise, add noise, modulate.

        Args:
            tiles: (tiles, C, h, w) in the order of ``plan``.
            mean: (C,) float32, of the picture.
            variance: (C,) float32, of the picture with noise.
            plan: Of this resolution.
            noise: (tiles, 1, h, w) in the same order, or None.
        """
        last = self.channels if self.after is None else len(self.after.weight)
        out = tiles.new_empty((len(tiles), last, *tiles.shape[2:])).to(memory_format=torch.channels_last)
        slope = self.noise_scale * torch.rsqrt(variance + EPS)

        def normal(first: int, end: int, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
            part = F.batch_norm(tiles[first:end], mean, variance, scale, shift, eps=EPS)
            if noise is not None:
                along = slope if scale is None else slope * scale
                part.permute(0, 2, 3, 1).view(-1, part.shape[1]).addmm_(
                    noise[first:end].reshape(-1, 1), along.to(part.dtype)[None]
                )
            return part

        step = max(1, CHUNK // (tiles.shape[2] * tiles.shape[3]))
        for first in range(0, plan.edges, step):
            end = min(first + step, plan.edges)
            hidden = self.shared(plan.windows[first:end]).relu_()
            for border, where in enumerate(plan.outside):  # the second convolution pads with zeros, not with labels
                on = where[(where >= first) & (where < end)] - first
                if len(on):
                    side = 0 if border % 2 == 0 else hidden.shape[2 + border // 2] - 1
                    hidden.select(2 + border // 2, side)[on] = 0
            modulation = self.modulation(hidden)
            scale, shift = modulation[:, : self.channels], modulation[:, self.channels :]
            part = normal(first, end)
            if self.after is None:
                torch.addcmul(shift, part, scale, out=out[first:end])
            else:
                torch.add(self.after(part.mul_(scale)), shift, out=out[first:end])
        if plan.groups:
            vectors = self.modulation(self.shared(plan.labels).relu_())[:, :, 0, 0].float()
        for first, end, label in plan.groups:
            scale, shift = vectors[label, : self.channels], vectors[label, self.channels :]
            if self.after is None:
                out[first:end] = normal(first, end, scale, shift)
            else:
                part = normal(first, end, scale, torch.zeros_like(scale))
                out[first:end] = F.conv2d(part, self.after.weight, shift.to(part.dtype))
        return out


class FastBlock:
    """One AliasResBlock for use."""

    def __init__(self, block: AliasResBlock, dtype: torch.dtype) -> None:
        self.masked, self.dtype = block.masked, dtype
        self.conv_0, self.conv_1 = _of(block.conv_0, dtype), _of(block.conv_1, dtype)
        self.norm_0, self.norm_1, self.norm_s = FastNorm(block.norm_0, dtype), FastNorm(block.norm_1, dtype), None
        if block.norm_s is not None and block.conv_s is not None:
            self.norm_s = FastNorm(block.norm_s, dtype, block.conv_s.weight.detach().float())  # type: ignore[union-attr]

    def __call__(self, x: Tensor, plan: Plan, mask: Tensor, noise: Callable[[str], Tensor | None]) -> Tensor:
        """(1, C, h, w) channels last; mask (h, w) float32; ``noise`` by the name of the norm, (h, w) float32."""
        prepared = None if self.masked else (statistics(x), plan.cut(x))
        shortcut = x if self.norm_s is None else self._norm(self.norm_s, x, prepared, plan, mask, noise("norm_s"))
        x = self.conv_0(F.leaky_relu_(self._norm(self.norm_0, x, prepared, plan, mask, noise("norm_0")), 0.2))
        prepared = None if self.masked else (statistics(x), plan.cut(x))
        x = self.conv_1(F.leaky_relu_(self._norm(self.norm_1, x, prepared, plan, mask, noise("norm_1")), 0.2))
        return x.add_(shortcut)

    def _norm(
        self,
        norm: FastNorm,
        x: Tensor,
        prepared: tuple[tuple[Tensor, Tensor], Tensor] | None,
        plan: Plan,
        mask: Tensor,
        noise: Tensor | None,
    ) -> Tensor:
        noise = noise if norm.noisy else None
        _, c, h, w = x.shape
        if prepared is None:
            flat = x.permute(0, 2, 3, 1).reshape(-1, c).float()
            if noise is not None:
                flat = flat.addmm(noise.reshape(-1, 1), norm.noise_scale[None])
            flat = mask_statistics(flat, mask.flatten()).to(self.dtype)
            tiles = plan.cut(flat.view(1, h, w, c).permute(0, 3, 1, 2))
            return plan.join(
                norm(tiles, flat.new_zeros(c, dtype=torch.float32), mask.new_full((c,), 1 - EPS), plan, None)
            )
        (mean, variance), tiles = prepared
        if noise is None:
            return plan.join(norm(tiles, mean, variance, plan, None))
        level = noise.mean()
        drift = (noise - level).flatten()
        together = (drift.to(self.dtype)[None] @ x.permute(0, 2, 3, 1).reshape(-1, c))[0].float() / (h * w)
        noisy = variance + 2 * norm.noise_scale * together + norm.noise_scale.square() * drift.square().mean()
        # Normalising x + noise: the noise's own mean only shifts, so it is taken out of the noise itself.
        cut = plan.cut(drift.view(1, 1, h, w).to(self.dtype))
        return plan.join(norm(tiles, mean, noisy, plan, cut))


class FastAlias:
    """ALIASGenerator for use."""

    def __init__(self, network: ALIASGenerator, dtype: torch.dtype) -> None:
        self.dtype, self.config, self.names, self.latent = dtype, network.config, network.names, network.latent
        self.features = [_of(getattr(network, f"conv_{level}"), dtype) for level in range(len(network.names))]
        self.blocks = [FastBlock(getattr(network, name), dtype) for name in network.names]
        self.image = _of(network.conv_img, dtype)

    @torch.inference_mode()
    def __call__(
        self, x: Tensor, labels: Tensor, labels_div: Tensor, misalign: Tensor, noise: Noise = fresh_noise
    ) -> Tensor:
        """As ALIASGenerator.forward."""
        return tanh_colours(self.raw(x, labels, labels_div, misalign, noise))

    @torch.inference_mode()
    def raw(
        self, x: Tensor, labels: Tensor, labels_div: Tensor, misalign: Tensor, noise: Noise = fresh_noise
    ) -> Tensor:
        """As ALIASGenerator.raw."""
        drawn: dict[str, Tensor | None] = {}

        def draw(name: str, sample: int, h: int, w: int) -> Tensor | None:
            if name not in drawn:
                drawn[name] = noise(name, (len(x), w, h, 1))
            found = drawn[name] if sample + 1 < len(x) else drawn.pop(name)
            return None if found is None else found[sample, :, :, 0].t().to(x.device, torch.float32).contiguous()

        parts = [part.split(1) for part in (x, labels, labels_div, misalign)]
        return torch.cat([self._one(i, sample, draw) for i, sample in enumerate(zip(*parts, strict=True))])

    def _one(
        self,
        index: int,
        sample: tuple[Tensor, ...],
        draw: Callable[[str, int, int, int], Tensor | None],
    ) -> Tensor:
        x, labels, labels_div, misalign = sample
        # A GPU has cheap convolutions and dear launches: there the whole picture is one tile.
        tile = TILE if x.device.type == "cpu" else 1 << 30
        state = x[:, :0]
        for level, (name, feature, block) in enumerate(zip(self.names, self.features, self.blocks, strict=True)):
            h, w = self.latent[0] * 2**level, self.latent[1] * 2**level
            seen = F.interpolate(x, size=(h, w)).to(self.dtype, memory_format=torch.channels_last)
            painted = feature(seen)
            state = painted if level == 0 else torch.cat([_double(state), painted], 1)
            plan = make_plan(F.interpolate(labels_div if block.masked else labels, size=(h, w)), tile, self.dtype)
            mask = F.interpolate(misalign, size=(h, w))[0, 0] if block.masked else misalign
            state = block(state, plan, mask, lambda norm, n=name, h=h, w=w: draw(f"{n}.{norm}", index, h, w))
        return self.image(F.leaky_relu_(state, 0.2)).float().contiguous()
