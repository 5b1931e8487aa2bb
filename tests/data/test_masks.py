"""Masks from label images, segmentations and structure sets, on the grid of a scan."""

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from synthetic_dicom import image, oblique, save, series

from medudl.data.dicom import read_dicom, read_header
from medudl.data.dicom_rtstruct import even_odd
from medudl.data.geometry import lps_to_ras
from medudl.data.masks import read_mask, same_grid
from medudl.errors import UserError

SHAPE = (24, 20, 8)


@pytest.fixture(scope="module", params=["straight", "oblique"])
def scan(request, tmp_path_factory):
    """Files of a scan, its LPS affine, and a lesion in it as read back."""
    affine = np.diag([0.8, 1.2, 3.0, 1.0])
    if request.param == "oblique":
        affine[:3, :3] = next(m for m in oblique() if np.linalg.det(m) > 0) * [0.8, 1.2, 3.0]
    affine[:3, 3] = (-20, 30, 100)
    lesion = np.zeros(SHAPE, bool)
    lesion[5:12, 6:15, 2:5] = True
    lesion[8:10, 9:11, 3] = False
    folder = tmp_path_factory.mktemp("scan")
    return series(folder, np.zeros(SHAPE, np.int16), affine, FrameOfReferenceUID="1.2.9"), affine, lesion


def on_grid(path, scan):
    return read_mask(path, shape=SHAPE, affine=lps_to_ras(scan[1]))


def test_label_images_on_the_same_grid_and_on_another(scan, tmp_path):
    _, affine, lesion = scan
    nibabel.save(nibabel.Nifti1Image(lesion.astype(np.uint8) * 3, lps_to_ras(affine)), tmp_path / "m.nii.gz")
    assert np.array_equal(on_grid(tmp_path / "m.nii.gz", scan), lesion)
    turned = lps_to_ras(affine).copy()
    turned[:3, 3] += turned[:3, 0] * (SHAPE[0] - 1)
    turned[:3, 0] *= -1
    nibabel.save(nibabel.Nifti1Image(lesion[::-1].astype(np.uint8), turned), tmp_path / "m.nii.gz")
    assert np.array_equal(on_grid(tmp_path / "m.nii.gz", scan), lesion)
    fine = lps_to_ras(affine) @ np.diag([0.5, 0.5, 1, 1])
    fine[:3, 3] -= 0.5 * fine[:3, 0] + 0.5 * fine[:3, 1]
    doubled = lesion.repeat(2, axis=0).repeat(2, axis=1)
    nibabel.save(nibabel.Nifti1Image(doubled.astype(np.uint8), fine), tmp_path / "m.nii")
    assert np.array_equal(on_grid(tmp_path / "m.nii", scan), lesion)


def test_a_mask_beside_the_scan_is_refused(scan, tmp_path):
    far = lps_to_ras(scan[1])
    far[:3, 3] += 500
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), far), tmp_path / "m.nii")
    with pytest.raises(UserError, match="outside its scan"):
        on_grid(tmp_path / "m.nii", scan)


def test_a_folder_of_dicom_slices(scan, tmp_path):
    series(tmp_path / "roi", scan[2].astype(np.uint16), scan[1])
    assert np.array_equal(on_grid(tmp_path / "roi", scan), scan[2])


def segmentation(scan, kind):
    sources = [pydicom.dcmread(path) for path in scan[0]]
    for k, ds in enumerate(sources):
        ds.PatientName, ds.PatientBirthDate, ds.PatientSex, ds.AccessionNumber = "", "", "", ""
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.ReferringPhysicianName, ds.Manufacturer = "", "", "", "", "x"
        ds.InstanceNumber = k + 1
    height = [float(np.dot(ds.ImagePositionPatient, scan[1][:3, 2])) for ds in sources]
    sources = [sources[i] for i in np.argsort(height)]
    algorithm = highdicom.AlgorithmIdentificationSequence("test", codes.DCM.ArtificialIntelligence, "1")
    segments = [
        highdicom.seg.SegmentDescription(
            n, f"part {n}", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Mass, "AUTOMATIC", algorithm
        )
        for n in (1, 2)
    ]
    halves = np.stack([scan[2].copy(), scan[2].copy()], axis=-1)
    halves[:8, ..., 0], halves[8:, ..., 1] = False, False
    pixels = halves.transpose(2, 1, 0, 3)
    pixels = pixels.astype(np.uint8) if kind == "BINARY" else pixels * 0.9 + ~pixels * 0.1
    return highdicom.seg.Segmentation(
        source_images=sources, pixel_array=pixels, segmentation_type=kind, segment_descriptions=segments,
        series_instance_uid="1.2.77", series_number=9, sop_instance_uid="1.2.78", instance_number=1,
        manufacturer="x", manufacturer_model_name="x", software_versions="1", device_serial_number="1",
        omit_empty_frames=kind == "BINARY",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_a_segmentation_made_by_highdicom(kind, scan, tmp_path):
    segmentation(scan, kind).save_as(tmp_path / "seg")
    header = read_header(tmp_path / "seg")
    assert header.referenced_series == ("1.2.3.4",) and not header.is_image
    assert np.array_equal(on_grid(tmp_path / "seg", scan), scan[2])
    with pytest.raises(UserError, match="a segmentation, not a scan"):
        read_dicom([tmp_path / "seg"])


def structures(scan, path, outlines, names=("GTV",), types=("GTV",)):
    """outlines: one list a region of (k, [(i, j), ...]) in voxels."""
    ds = image(path, np.zeros((1, 1), np.uint8))
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "PixelSpacing"):
        delattr(ds, name)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    ds.Modality = "RTSTRUCT"
    names_, contours_, seen_ = [], [], []
    for number, (name, kind, drawn) in enumerate(zip(names, types, outlines, strict=True), 1):
        roi, contoured, seen = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, seen.ReferencedROINumber, seen.RTROIInterpretedType = number, name, number, kind
        contoured.ReferencedROINumber, contoured.ContourSequence = number, Sequence()
        for k, points in drawn:
            contour = Dataset()
            places = [scan[1] @ [i, j, k, 1] for i, j in points]
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [f"{x:.4f}" for place in places for x in place[:3]]
            contoured.ContourSequence.append(contour)
        names_.append(roi), contours_.append(contoured), seen_.append(seen)
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence(names_), Sequence(contours_)
    ds.RTROIObservationsSequence = Sequence(seen_)
    referenced, study, frame = Dataset(), Dataset(), Dataset()
    referenced.SeriesInstanceUID = "1.2.3.4"
    study.RTReferencedSeriesSequence = Sequence([referenced])
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    return save(ds, path)


def box(x0, x1, y0, y1):
    return [(x0 - 0.5, y0 - 0.5), (x1 - 0.5, y0 - 0.5), (x1 - 0.5, y1 - 0.5), (x0 - 0.5, y1 - 0.5)]


def test_outlines_are_filled_and_an_outline_inside_another_is_a_hole(scan, tmp_path):
    drawn = [(k, box(5, 12, 6, 15)) for k in (2, 3, 4)] + [(3, box(8, 10, 9, 11))]
    path = structures(scan, tmp_path / "rt", [drawn])
    assert read_header(path).referenced_series == ("1.2.3.4",)
    assert np.array_equal(on_grid(path, scan), scan[2])


def test_the_tumour_is_taken_and_the_body_is_not(scan, tmp_path):
    body, tumour = [(k, box(0, 24, 0, 20)) for k in range(8)], [(3, box(8, 10, 9, 11))]
    path = structures(scan, tmp_path / "rt", [body, tumour, body], ["BODY", "GTV 1", "oedema"], ["", "", ""])
    assert on_grid(path, scan).sum() == 4
    path = structures(scan, tmp_path / "rt", [body, tumour], ["Body", "metastasis"], ["EXTERNAL", ""])
    assert on_grid(path, scan).sum() == 4
    with pytest.raises(UserError, match="without an outlined lesion"):
        on_grid(structures(scan, tmp_path / "rt", [body], ["BODY"], [""]), scan)


def test_outlines_elsewhere_or_across_slices_are_refused(scan, tmp_path):
    with pytest.raises(UserError, match="outside its scan"):
        on_grid(structures(scan, tmp_path / "rt", [[(90, box(5, 12, 6, 15))]]), scan)
    turned = structures(scan, tmp_path / "rt", [[(3, box(5, 12, 6, 15))]])
    affine = lps_to_ras(scan[1]) @ np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    with pytest.raises(UserError, match="do not lie in slices"):
        read_mask(turned, shape=SHAPE, affine=affine)


def test_a_pixel_belongs_if_its_centre_is_surrounded_an_odd_number_of_times():
    random = np.random.default_rng(0)
    outlines = [random.uniform(-2, 12, (n, 2)) for n in (3, 5, 8)]

    def inside(x, y):  # crossings of a ray to the left, edge by edge
        odd = False
        for points in outlines:
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    odd = not odd
        return odd

    truth = [[inside(x, y) for y in range(9)] for x in range(11)]
    assert np.array_equal(even_odd(outlines, (11, 9)), truth)


def test_grids_are_the_same_within_a_tenth_of_a_voxel():
    shifted = np.eye(4)
    shifted[0, 3] = 0.09
    assert same_grid((3, 3, 3), np.eye(4), (3, 3, 3), shifted)
    shifted[0, 3] = 0.11
    assert not same_grid((3, 3, 3), np.eye(4), (3, 3, 3), shifted)
    assert not same_grid((3, 3, 3), np.eye(4), (3, 3, 4), np.eye(4))
