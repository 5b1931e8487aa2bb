import numpy as np
import pytest
import torch

from medudl.config import Data
from medudl.data.augment import Augmenter
from medudl.errors import UserError


def augmenter(view: str = "slices", plane: str = "axial", **wanted) -> Augmenter:
    size = [4, 8, 8] if view == "patches" else None
    return Augmenter(Data(view=view, plane=plane, size=size, augment=wanted))


def item(*shape: int, seed: int = 0) -> dict[str, torch.Tensor]:
    image = torch.rand((2, *shape), generator=torch.Generator().manual_seed(seed))
    return {"image": image, "foreground": image[:1] > 0.3, "mask": image[:1] > 0.9}


def test_the_seed_alone_decides() -> None:
    change = augmenter(flip=True, rotate=20, scale=0.1, translate=2, gamma=0.3, brightness=0.2)
    again = augmenter(flip=True, rotate=20, scale=0.1, translate=2, gamma=0.3, brightness=0.2)
    first = change(item(16, 16), (0, 3, 7))
    change(item(16, 16), (0, 3, 8))
    np.random.seed(1)
    torch.manual_seed(1)
    second = again(item(16, 16), (0, 3, 7))
    assert all(torch.equal(first[key], second[key]) for key in first)
    others = [change(item(16, 16), seed)["image"] for seed in ((1, 3, 7), (0, 4, 7), (0, 3, 6))]
    assert not any(torch.equal(first["image"], other) for other in others)


@pytest.mark.parametrize(("view", "plane", "axis"), [("slices", "axial", 2), ("slices", "coronal", 2),
                                                     ("patches", "axial", 3), ("patches", "sagittal", 1)])  # fmt: skip
def test_flip_is_left_right_and_takes_the_masks_along(view: str, plane: str, axis: int) -> None:
    change = augmenter(view, plane, flip=True)
    before = item(4, 8, 8) if view == "patches" else item(8, 8)
    flipped = 0
    for seed in range(20):
        after = change(before, (0, 0, seed))
        turned = not torch.equal(after["image"], before["image"])
        flipped += turned
        for key, value in before.items():
            assert torch.equal(after[key], value.flip(axis) if turned else value)
    assert 4 < flipped < 16


def test_sagittal_slices_cannot_be_flipped() -> None:
    with pytest.raises(UserError, match="left and right"):
        augmenter(plane="sagittal", flip=True)


def test_image_and_masks_move_together_and_stay_binary() -> None:
    y, x = np.mgrid[:64, :64]
    disc = torch.from_numpy(((x - 40) ** 2 + (y - 25) ** 2 < 120)[None])
    change = augmenter(rotate=40, scale=0.2, translate=5)
    for seed in range(5):
        after = change({"image": disc.float(), "foreground": disc}, (0, 0, seed))
        assert after["foreground"].dtype == torch.bool
        assert (after["foreground"] != (after["image"] > 0.5)).sum() <= 40  # the disc's edge alone
        assert not torch.equal(after["foreground"], disc)


def test_3d_turns_stay_in_the_slice() -> None:
    """Each slice has one value of its own: it keeps it where the turn happens in (H, W)."""
    image = torch.arange(6.0)[None, :, None, None].expand(1, 6, 16, 16).clone()
    change = augmenter("patches", rotate=90)
    after = change({"image": image, "foreground": image > -1}, (0, 0, 1))
    torch.testing.assert_close(after["image"], image, atol=1e-4, rtol=0)
    assert not after["foreground"].all()


@pytest.mark.parametrize("wanted", [{"gamma": 0.4}, {"brightness": 0.4}])
def test_intensity_changes_leave_the_masks_alone(wanted: dict[str, float]) -> None:
    before = item(16, 16)
    after = augmenter(**wanted)(before, (0, 0, 1))
    assert torch.equal(after["foreground"], before["foreground"]) and torch.equal(after["mask"], before["mask"])
    assert not torch.equal(after["image"], before["image"])
    order = before["image"].flatten().argsort()
    assert (after["image"].flatten()[order].diff() >= -1e-6).all()  # monotone
    if "brightness" in wanted:
        assert 0.6 <= float((after["image"] / before["image"]).mean()) <= 1.4
