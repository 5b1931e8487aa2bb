"""Rigid registration of a study's series to its grid series, and N4 bias correction, by SimpleITK on one thread."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from medudl.data.geometry import lps_to_ras
from medudl.data.volume import Volume
from medudl.errors import UserError

_SHARE = 0.2  # of the voxels sampled for mutual information
_SEED = 1
_COARSEST = 8  # an axis is not shrunk below this many voxels
_WORK_VOXELS = 60_000  # N4 fits its smooth field on about this many voxels


def one_thread() -> None:
    """SimpleITK on one thread, without its pool: sums are repeatable, and a forked process does not wait for threads
    that it has not inherited.
    """
    sitk.ProcessObject.SetGlobalDefaultThreader("Platform")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def register(fixed: Volume, moving: Volume, where: str) -> NDArray[np.float64]:
    """The rigid motion (4, 4) in RAS mm that takes points of `fixed` to the same anatomy in `moving`.

    Mattes mutual information over 20 % of the voxels (fixed seed), gradient descent on three resolutions, from the
    place that the scans' own affines give; where these do not overlap, from centre on centre.
    Raises UserError where nothing was found to hold on to. `where` names the scans.
    """
    one_thread()
    still, other = _image(fixed), _image(moving)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SHARE, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 200, gradientMagnitudeTolerance=1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    shrink = [max(1, min(s, min(fixed.voxels.shape) // _COARSEST)) for s in (4, 2, 1)]
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([2.0, 1.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(_start(still, other), inPlace=False)
    try:
        found = method.Execute(still, other)
    except RuntimeError:  # ITK: all samples map outside the moving image
        raise UserError(
            f"{where}: cannot be registered, the scans share too little; set data.register_to_grid: false, "
            "or leave the study out with data.where"
        ) from None
    return _matrix(found)


def motion(rigid: NDArray[np.float64]) -> tuple[float, float]:
    """How far a rigid motion (4, 4) turns (degrees) and shifts (mm, at the origin)."""
    turn = np.arccos(np.clip((np.trace(rigid[:3, :3]) - 1) / 2, -1, 1))
    return float(np.degrees(turn)), float(np.linalg.norm(rigid[:3, 3]))


def n4(volume: Volume, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The scan (X, Y, Z) divided by its smooth bias field (N4, Tustison et al. 2010), fitted inside `mask`.

    The field is fitted on a coarser grid and evaluated on the whole one; the scan's mean level in the mask is kept.
    """
    one_thread()
    voxels = volume.voxels - min(0.0, float(volume.voxels.min()))  # the model is a product: nothing below zero
    image = _image(Volume(voxels, volume.affine))
    inside = _image(Volume(mask.astype(np.float32), volume.affine))
    step = max(1, round((mask.size / _WORK_VOXELS) ** 0.5))
    shrink = [max(1, min(step, n // _COARSEST)) if axis < 2 else 1 for axis, n in enumerate(mask.shape)]
    small = sitk.Cast(sitk.Shrink(inside, shrink) > 0.5, sitk.sitkUInt8)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([50, 50, 30])
    corrector.SetConvergenceThreshold(1e-3)
    corrector.Execute(sitk.Shrink(image, shrink), small)
    field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T
    field = np.exp(field - field[mask].mean())
    return np.asarray(voxels / field + min(0.0, float(volume.voxels.min())), dtype=np.float32)


def _image(volume: Volume) -> sitk.Image:
    affine = lps_to_ras(volume.affine)
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels.T, dtype=np.float32))
    image.SetSpacing(volume.spacing)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / np.asarray(volume.spacing)).ravel().tolist())
    return image


def _start(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    rigid = sitk.Euler3DTransform()
    middle = [(n - 1) / 2 for n in fixed.GetSize()]
    centre = fixed.TransformContinuousIndexToPhysicalPoint(middle)
    rigid.SetCenter(centre)
    index = moving.TransformPhysicalPointToContinuousIndex(centre)
    if all(-0.5 <= i <= n - 0.5 for i, n in zip(index, moving.GetSize(), strict=True)):
        return rigid
    how = sitk.CenteredTransformInitializerFilter.GEOMETRY
    return sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), how)


def _matrix(transform: sitk.Transform) -> NDArray[np.float64]:
    origin = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    axes = [np.asarray(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(axes, axis=1), origin
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.asarray(flip @ matrix @ flip)
