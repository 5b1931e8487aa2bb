"""Where the patient is: head or body by thresholds, brain by deepbet."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medudl.data.volume import Volume
from medudl.errors import UserError

Mask = NDArray[np.bool_]
AIR_HU = -500.0  # between air (-1000) and fat (-100); lungs are holes, which are filled afterwards
FILMS = ("CR", "DX", "RG", "MG", "XA", "RF", "XR")  # modalities that show the patient from edge to edge
RIM_SHARE = 0.15  # a single image whose rim is body for more than this is a film, whatever its file says


def body(volume: Volume, modality: str = "") -> Mask:
    """Head or body, (X, Y, Z): the largest piece above a threshold, its holes filled slice by slice.

    CT that shows air: above -500 HU, cut loose from the table. Films, and any single image that runs into its rim:
    everything. Else (MR): above Otsu's threshold of the square root of the smoothed scan, which lies low enough for
    dark brain beside bright scalp, and above the noise of the air.
    """
    voxels = volume.voxels
    if modality.upper() in FILMS:
        return np.ones(voxels.shape, dtype=bool)
    if (volume.unit == "HU" or modality.upper() == "CT") and float(voxels.min()) < AIR_HU:
        mask = voxels > AIR_HU
    else:
        smooth = ndimage.gaussian_filter(voxels, [1.0, 1.0, 0.0] if min(voxels.shape[:2]) >= 64 else 0.0)
        root = np.sqrt(smooth - smooth.min())
        mask = root > otsu(root)
    mask = solid(mask, 2.0 / min(volume.spacing[:2]))
    if voxels.shape[2] == 1 and rim(mask[..., 0]) > RIM_SHARE:
        return np.ones(voxels.shape, dtype=bool)
    return mask


def otsu(values: NDArray[np.float32], bins: int = 256) -> float:
    """Otsu's threshold (1979): the one with the greatest variance between the two classes of the histogram.

    The histogram ends at the 99th percentile: a few very bright voxels would leave all others in its first bins.
    """
    low, high = float(values.min()), float(np.percentile(values, 99))
    high = high if high > low else float(values.max())
    if high <= low:
        return low
    count, edges = np.histogram(values.clip(low, high), bins=bins, range=(low, high))
    centre = (edges[:-1] + edges[1:]) / 2
    below, sum_below = count.cumsum(), (count * centre).cumsum()
    above, sum_above = below[-1] - below, sum_below[-1] - sum_below
    between = below * above * (sum_below / below.clip(1) - sum_above / above.clip(1)) ** 2
    return float(edges[1:][np.argmax(between)])


def solid(mask: Mask, radius: float) -> Mask:
    """The largest piece of `mask`, with bridges of `radius` voxels in the slice cut and its dents and holes filled."""
    steps = round(radius) if min(mask.shape[:2]) >= 64 else 0  # a thumbnail has no bridge to spare
    disc = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])  # within (X, Y)
    loose = ndimage.binary_opening(mask, disc, iterations=steps) if steps else mask
    labels, pieces = ndimage.label(loose if loose.any() else mask)
    if pieces:
        mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    if steps:  # an edge-padded closing: the image's rim must not eat into the body
        padded = np.pad(mask, [(2 * steps,) * 2, (2 * steps,) * 2, (0, 0)], mode="edge")
        mask = ndimage.binary_closing(padded, disc, iterations=2 * steps)[
            2 * steps : -2 * steps, 2 * steps : -2 * steps
        ]
    return np.stack([ndimage.binary_fill_holes(s) for s in np.moveaxis(mask, 2, 0)], axis=2)


def rim(image: Mask) -> float:
    """Share of the outermost voxels of a 2-D mask that are set."""
    edge = np.ones(image.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    return float(image[edge].mean())


def brain(volume: Volume) -> Mask:
    """The brain, (X, Y, Z), by deepbet (Fisch et al. 2024), on one CPU thread; made for T1.

    Raises UserError where deepbet is not installed, or finds no brain.
    """
    import nibabel as nib

    extractor = _deepbet()
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    try:
        _, mask, _ = extractor.run(image)
    except (AssertionError, ValueError):  # deepbet's way to say that nothing was found
        raise UserError("no brain was found; use data.foreground: body, or leave the series out") from None
    return np.asarray(mask.dataobj) > 0


@lru_cache(maxsize=1)
def _deepbet() -> Any:
    try:
        from deepbet import BrainExtraction
    except ImportError:
        raise UserError('data.foreground: brain needs deepbet; run: pip install "medudl[brain]"') from None
    with warnings.catch_warnings():  # deepbet's weights come in its wheel as TorchScript, which torch means to give up
        warnings.filterwarnings("ignore", message=".*torch.jit.load", category=DeprecationWarning)
        return BrainExtraction(no_gpu=True)
