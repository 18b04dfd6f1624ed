"""Deterministic, framework-free parameter and input fillers for golden tests.

numpy only.  Every array depends on nothing but its name, its shape and an optional
``salt``; it never depends on the order in which the names are visited (one exception,
stated below: spectral-norm vectors also read their own ``weight_orig``).

Rules (``n`` is a standard normal draw from PCG64(crc32(salt + name))):

* ``*.num_batches_tracked``        -> 0 (int64)
* ``*.running_mean``               -> 0.1 * n
* ``*.running_var``                -> 0.5 + uniform(0, 1)
* ``*.weight_u`` / ``*.weight_v``  -> unit vectors.  They start as normalised normals and are then
  made consistent with ``*.weight_orig`` by ``SPECTRAL_STEPS`` power iterations in float64, so that
  sigma = u . (W v) is a positive, well-scaled number.  (Two unrelated random unit vectors would give
  sigma close to 0, and weights blown up by a factor of 10..1000: a useless reference.)
* ``*.bias`` and ``*.noise_scale`` (ndim <= 1) -> 0.1 * n
* any other array with ndim <= 1 (norm weights) -> 1 + 0.1 * n
* arrays with ndim >= 2            -> n * sqrt(1 / fan_in), fan_in = prod(shape[1:])
* with ``positional=True``, names that contain pos_embed, position_embeddings, rel_pos_h, rel_pos_w or
  cls_token                        -> 0.02 * n   (the vitpose and iml_vit cases use this)

All results are float32 (int64 for counters) and C-contiguous.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

SPECTRAL_STEPS = 5
POSITIONAL = ("pos_embed", "position_embeddings", "rel_pos_h", "rel_pos_w", "cls_token")
_EPS = 1e-12


def rng_for(name: str, salt: str = "") -> np.random.Generator:
    """The one generator everything here draws from."""
    return np.random.Generator(np.random.PCG64(zlib.crc32((salt + name).encode("utf-8"))))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(float(np.sqrt((v * v).sum())), _EPS)


def fill_one(name: str, shape: tuple, salt: str = "", positional: bool = False) -> np.ndarray:
    shape = tuple(int(s) for s in shape)
    leaf = name.rsplit(".", 1)[-1]
    rng = rng_for(name, salt)
    if positional and any(key in name for key in POSITIONAL):
        return (0.02 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if leaf == "running_mean":
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "running_var":
        return (0.5 + rng.random(shape)).astype(np.float32)
    if leaf in ("weight_u", "weight_v"):
        return _unit(rng.standard_normal(shape)).astype(np.float32)
    if len(shape) <= 1:
        n = rng.standard_normal(shape)
        if leaf in ("bias", "noise_scale"):
            return (0.1 * n).astype(np.float32)
        return (1.0 + 0.1 * n).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape) * np.sqrt(1.0 / fan_in)).astype(np.float32)


def fill_state_dict(shapes: Mapping[str, tuple], salt: str = "", positional: bool = False) -> dict[str, np.ndarray]:
    """name -> shape  ==>  name -> array.  Buffers and parameters alike."""
    out = {name: fill_one(name, shape, salt, positional) for name, shape in shapes.items()}
    for name in shapes:
        if not name.endswith("weight_u"):
            continue
        stem = name[: -len("weight_u")]
        w = out[stem + "weight_orig"].astype(np.float64)
        w = w.reshape(w.shape[0], -1)
        u = out[name].astype(np.float64)
        v = _unit(w.T @ u)
        for _ in range(SPECTRAL_STEPS):
            u = _unit(w @ v)
            v = _unit(w.T @ u)
        out[name] = u.astype(np.float32)
        if stem + "weight_v" in out:
            out[stem + "weight_v"] = v.astype(np.float32)
    return out


# ----------------------------------------------------------------------------- inputs
def fill_input(
    name: str, shape: tuple, salt: str = "", block: int = 1, lo: float = -1.0, hi: float = 1.0, levels: int = 0
) -> np.ndarray:
    """Uniform values in [lo, hi]; ``block`` repeats each draw over a block x block patch (compresses well);
    ``levels`` > 0 rounds to that many equal steps.  shape is (..., h, w)."""
    rng = rng_for("input:" + name, salt)
    shape = tuple(int(s) for s in shape)
    small = (*shape[:-2], -(-shape[-2] // block), -(-shape[-1] // block))
    x = rng.random(small)
    if levels:
        x = np.floor(x * levels).clip(0, levels - 1) / (levels - 1)
    x = lo + (hi - lo) * x
    x = np.repeat(np.repeat(x, block, axis=-2), block, axis=-1)[..., : shape[-2], : shape[-1]]
    return np.ascontiguousarray(x, dtype=np.float32)


def fill_onehot(name: str, shape: tuple, salt: str = "", block: int = 4) -> np.ndarray:
    """A random label map as one-hot planes; shape is (b, classes, h, w)."""
    b, c, h, w = (int(s) for s in shape)
    rng = rng_for("onehot:" + name, salt)
    lab = rng.integers(0, c, size=(b, -(-h // block), -(-w // block)))
    lab = np.repeat(np.repeat(lab, block, axis=1), block, axis=2)[:, :h, :w]
    return np.ascontiguousarray((lab[:, None] == np.arange(c)[None, :, None, None]), dtype=np.float32)


def fill_noise(module_name: str, shape: tuple, salt: str = "") -> np.ndarray:
    """Stand-in for a torch.randn(shape) call made inside the module of that name."""
    return rng_for("noise:" + module_name, salt).standard_normal(tuple(int(s) for s in shape)).astype(np.float32)
