"""The one place that chooses device, dtype and attention kernel."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.errors import PipelineError

Network = TypeVar("Network", bound=nn.Module)
BIAS_BYTES = (1 << 28, 1 << 23)  # of `biased_attention`'s bias that exist at once, elsewhere and on a CPU
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Where and how a network runs.

    Attributes:
        device: torch device.
        dtype: dtype of matrix multiplications; weights stay float32 on a CPU and autocast does the rest.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Mixed-precision context, or nothing when the dtype is float32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


@cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware (AVX512-BF16, AMX, Arm bf16).

    Without it autocast to bfloat16 is several times slower than float32, so it must not be chosen.
    """
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            flags = lines.read(20_000)
        return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))
    except OSError:
        # macOS and Windows have no /proc: Apple's cores from M2 on have bf16, but torch's CPU path gains nothing there.
        return False


def choose(device: str = "auto", dtype: str = "auto") -> Runtime:
    """Resolve ``auto`` into a device and dtype.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        PipelineError: ``runtime.device`` or ``runtime.dtype`` if the name is unknown or the device is absent.
    """
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    kind, colon, number = device.partition(":")
    if (colon and not number.isdecimal()) or int(number or 0) >= available.get(kind, 0):
        raise PipelineError(
            "runtime.device",
            "This device is not available here",
            seen=device,
            remedy=f"Use one of: {', '.join(name for name, there in available.items() if there)}, auto",
        )
    if dtype == "auto":
        fast = (kind == "cuda" and torch.cuda.is_bf16_supported()) or (kind == "cpu" and cpu_has_bf16())
        dtype = "bfloat16" if fast else "float32"
    if dtype not in DTYPES:
        raise PipelineError(
            "runtime.dtype", "Unknown dtype", seen=dtype, remedy=f"Use one of: {', '.join(DTYPES)}, auto"
        )
    return Runtime(torch.device(kind, int(number)) if colon else torch.device(kind), DTYPES[dtype])


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Compute in float32 with all of its digits: no autocast, and on CUDA no TensorFloat-32 in convolutions."""
    with torch.autocast(device.type, enabled=False), torch.backends.cudnn.flags(allow_tf32=False):
        yield


def channels_last(model: Network) -> Network:
    """Lay the four-dimensional weights of ``model`` out as convolutions read them fastest; returns the same model."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return model


@cache
def _has_xformers() -> bool:
    return importlib.util.find_spec("xformers") is not None


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention over (B, heads, N, head_dim) tensors.

    xformers' kernels exist on CUDA only; everywhere else torch picks its own fused kernel, except when training on a
    CPU: the backward pass of its bfloat16 kernel takes five times as long as that of the plain products there.
    """
    if q.is_cuda and _has_xformers() and q.dtype != torch.float32:
        from xformers.ops import memory_efficient_attention

        mixed = memory_efficient_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return mixed.transpose(1, 2)
    if q.device.type == "cpu" and q.requires_grad:
        return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


def biased_attention(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention over a grid of tokens with decomposed relative positions, added from the unscaled queries.

    The bias of all pairs is the largest thing there would be in memory (0.8 GB for 64 x 64 tokens and 12 heads), so it
    is made for some rows of queries at a time. On a CPU these are as few as its caches hold, and go through plain
    products, which take 0.4 (bfloat16) to 0.7 (float32) of the time of torch's fused kernel with a mask.

    Args:
        q: (B, heads, h * w, D); so are ``k`` and ``v``.
        k: Keys.
        v: Values.
        rows: (h, h, D) relative positions by the query's row and the key's.
        columns: (w, w, D) the same along columns.

    Returns:
        (B, heads, h * w, D).
    """
    batch, heads, tokens, depth = q.shape
    height, width = len(rows), len(columns)
    # Laid out once as every block reads them: products of other layouts copy them again each time.
    q, k, v = (part.reshape(batch * heads, tokens, depth).contiguous() for part in (q, k, v))
    k = k.transpose(1, 2).contiguous()
    block = BIAS_BYTES[q.device.type == "cpu"] // (q.element_size() * width * tokens)  # rows, of one head or of several
    together = min(len(q), max(1, block))
    step = min(height, max(1, block // together))
    rows, columns = rows.to(q.dtype), columns.to(q.dtype)
    groups = []
    with torch.autocast(q.device.type, enabled=False):  # everything has the queries' dtype, the softmax too
        for first in range(0, len(q), together):
            group = slice(first, first + together)
            grid = q[group].view(-1, height, width, depth)
            down = torch.einsum("nhwd,hkd->nhwk", grid, rows)
            across = torch.einsum("nhwd,wkd->nhwk", grid, columns)
            parts = []
            for top in range(0, height, step):
                asked = slice(top, top + step)
                bias = (down[:, asked, :, :, None] + across[:, asked, :, None, :]).flatten(3).flatten(1, 2)
                parts.append(_biased(grid[:, asked].flatten(1, 2), k[group], v[group], bias))
            groups.append(torch.cat(parts, 1))
    return torch.cat(groups).view(batch, heads, tokens, depth)


def _biased(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(N, queries, D), (N, D, tokens), (N, tokens, D) and (N, queries, tokens) -> (N, queries, D)."""
    if q.device.type == "cpu":
        return torch.bmm(q * q.shape[-1] ** -0.5, k).add_(bias).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k.transpose(1, 2), v, attn_mask=bias)


def attention_backend(device: torch.device) -> str:
    """Name of the kernel that ``attention`` uses on ``device``, for the sidecar."""
    return "xformers" if device.type == "cuda" and _has_xformers() else "torch-sdpa"


def describe(runtime: Runtime) -> dict[str, str]:
    """What must be equal for two runs to be bit-identical."""
    return {
        "device": str(runtime.device),
        "device_name": torch.cuda.get_device_name(runtime.device)
        if runtime.device.type == "cuda"
        else platform.machine(),
        "dtype": str(runtime.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "attention": attention_backend(runtime.device),
        "threads": str(torch.get_num_threads()),
    }
