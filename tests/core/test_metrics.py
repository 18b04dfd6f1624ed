"""Metrics against values that can be worked out without them."""

import numpy as np
import pytest

from pipelines.core import metrics
from pipelines.core.errors import InputError

CLASSES = ("background", "a", "b")


def pose(n=1):
    """A COCO skeleton whose left shoulder and right hip are 100 pixels apart."""
    xy = np.zeros((n, 17, 2), np.float32)
    xy[:, 5], xy[:, 6], xy[:, 11], xy[:, 12] = (60, 0), (0, 0), (60, 80), (0, 80)
    xy[:, 7:11] = 40
    xy[:, 13:] = 120
    return xy


def test_pck_counts_within_a_fifth_of_the_torso():
    truth = pose()
    visible = np.ones((1, 17), bool)
    found = truth.copy()
    found[0, 7] += (19.9, 0)  # left elbow: inside 0.2 x 100
    found[0, 8] += (20.1, 0)  # right elbow: outside
    result = metrics.pck_score(found, truth, visible)
    assert result["elbow"] == 0.5 and result["wrist"] == 1 and result["pck"] == pytest.approx(11 / 12)


def test_pck_leaves_out_the_face_and_what_is_not_visible():
    truth = pose()
    found = truth + 500
    visible = np.zeros((1, 17), bool)
    visible[0, [0, 1, 5, 12]] = True  # nose and eye do not count
    found[0, [5, 12]] = truth[0, [5, 12]]
    assert metrics.pck_score(found, truth, visible)["pck"] == 1


def test_pck_without_a_torso_uses_the_joints_box():
    truth = pose()
    visible = np.zeros((1, 17), bool)
    visible[0, [5, 13]] = True  # shoulder (60, 0) and knee (120, 120): diagonal 134.2, limit 13.4
    found = truth.copy()
    found[0, 5] += (13.3, 0)
    found[0, 13] += (13.5, 0)
    assert metrics.pck_score(found, truth, visible)["pck"] == 0.5


def test_pck_pools_joints_not_people():
    truth = pose(2)
    visible = np.zeros((2, 17), bool)
    visible[0, 5:17] = True
    visible[1, [5, 12]] = True
    found = truth.copy()
    found[1] += 500
    assert metrics.pck_score(found, truth, visible)["pck"] == pytest.approx(12 / 14)


def test_miou_pools_before_dividing():
    one = (np.array([[0, 1], [1, 1]], np.uint8), np.array([[0, 1], [1, 2]], np.uint8))
    two = (np.array([[2, 2], [0, 0]], np.uint8), np.array([[2, 255], [0, 1]], np.uint8))
    result = metrics.mean_iou([one, two], CLASSES)
    # background: hits 2, union 3; a: hits 2, union 4; b: hits 1, union 2 (the 255 is left out)
    assert result["background"] == pytest.approx(2 / 3)
    assert result["a"] == pytest.approx(2 / 4) and result["b"] == pytest.approx(1 / 2)
    assert result["miou"] == pytest.approx((2 / 3 + 2 / 4 + 1 / 2) / 3)


def reference_ssim(a, b):
    """The formula written out for every window, without a convolution."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    pad = [(5, 5), (5, 5), (0, 0)]
    a, b = np.pad(a, pad, mode="reflect"), np.pad(b, pad, mode="reflect")
    out = np.zeros((a.shape[0] - 10, a.shape[1] - 10))
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            values = []
            for c in range(3):
                p, q = a[y : y + 11, x : x + 11, c], b[y : y + 11, x : x + 11, c]
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
                cov = (weights * (p - mp) * (q - mq)).sum()
                values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
            out[y, x] = np.mean(values)
    return out


def test_ssim_is_the_formula():
    rng = np.random.default_rng(0)
    a = rng.random((20, 17, 3))
    b = np.clip(0.7 * a + 0.3 * rng.random(a.shape), 0, 1)
    np.testing.assert_allclose(metrics.ssim_map(a, b), reference_ssim(a, b), atol=1e-9)
    region = np.zeros((20, 17), bool)
    region[4:9, 3:15] = True
    assert metrics.ssim(a, b, region) == pytest.approx(reference_ssim(a, b)[region].mean())
    assert metrics.ssim(a, a) == pytest.approx(1)


def test_l1_over_a_region():
    a, b = np.zeros((4, 4, 3)), np.zeros((4, 4, 3))
    b[0, 0] = (0.3, 0.6, 0.9)
    region = np.zeros((4, 4), bool)
    region[0, :2] = True
    assert metrics.l1(a, b, region) == pytest.approx(0.3)
    assert metrics.l1(a, b) == pytest.approx(0.6 / 16)


def test_silhouette_iou():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert metrics.silhouette_iou(a, b) == 0
    a[:2], b[1:3] = True, True
    assert metrics.silhouette_iou(a, b) == pytest.approx(4 / 12)


def test_edited_outside_mask_counts_pixels_not_channels():
    before = np.full((5, 5, 3), 100, np.uint8)
    after, mask = before.copy(), np.zeros((5, 5), np.uint8)
    after[0] = 101
    mask[0, :3] = (255, 128, 1)  # feather belongs to the mask
    assert metrics.edited_outside_mask(before, after, mask) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.l1(np.zeros((4, 4, 3)), np.zeros((4, 5, 3))),
        lambda: metrics.ssim(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)),
        lambda: metrics.l1(np.zeros((4, 4, 3)), np.zeros((4, 4, 3)), np.zeros((4, 4), bool)),
        lambda: metrics.silhouette_iou(np.zeros((4, 4), bool), np.zeros((4, 5), bool)),
        lambda: metrics.edited_outside_mask(*[np.zeros((4, 4, 3), np.uint8)] * 2, np.zeros((4, 5), np.uint8)),
    ],
)
def test_what_cannot_be_compared_is_refused(call):
    with pytest.raises(InputError):
        call()
