"""Whose images a synthetic series shows: patient, study and body part of its source, nothing of its scanner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

_WHOSE = ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
          "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
_ALSO = ("IssuerOfPatientID", "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod",
         "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified")  # fmt: skip
_LOSS = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
READ = (*_ALSO, *_LOSS, "PatientAge", "PatientPosition", "BodyPartExamined", "Laterality")
_POSITIONS = {f"{head}{side}" for head in ("HF", "FF") for side in ("S", "P", "DL", "DR")}
# Body parts of PS3.16 annex L that have no side.
_UNPAIRED = set(
    "HEAD BRAIN SKULL NECK HEADNECK CHEST CHESTABDOMEN CHESTABDPELVIS ABDOMEN ABDOMENPELVIS PELVIS HEART AORTA LIVER"
    " SPLEEN PANCREAS STOMACH GALLBLADDER BLADDER PROSTATE UTERUS CERVIX VAGINA PENIS COLON RECTUM DUODENUM JEJUNUM"
    " ILEUM ESOPHAGUS TRACHEA LARYNX PHARYNX THYROID THYMUS MEDIASTINUM TONGUE MOUTH NOSE STERNUM SPINE CSPINE CTSPINE"
    " TSPINE TLSPINE LSPINE LSSPINE SSPINE COCCYX JAW MAXILLA FACE WHOLEBODY CEREBELLUM NECKCHEST NECKCHESTABDOMEN"
    " NECKCHESTABDPELV".split()
)


def identify(made: Dataset, sources: Sequence[Dataset]) -> None:
    """Give `made` the patient, study and frame of reference of its sources, and a series of its own.

    sources: headers of the source images, with READ. One that names no frame of reference gets a new one. What was
    compressed with loss once stays marked so.
    """
    source = sources[0]
    _copy(made, source, _ALSO)
    for name in _WHOSE:
        if name in source:
            made[name] = source[name]
    if made.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" not in made:
        made.setdefault("DeidentificationMethod", "not told by the source")  # one of the two has to be there
    if re.fullmatch(r"\d{3}[DWMY]", str(source.get("PatientAge"))):
        made.PatientAge = source.PatientAge
    _body(made, source)
    made.FrameOfReferenceUID = source.get("FrameOfReferenceUID") or generate_uid()
    made.PositionReferenceIndicator = source.get("PositionReferenceIndicator")
    made.SeriesInstanceUID = generate_uid()
    lossy = next((one for one in sources if one.get("LossyImageCompression") == "01"), source)
    _copy(made, lossy, _LOSS)


def _body(made: Dataset, source: Dataset) -> None:
    made.PatientPosition = source.get("PatientPosition") if source.get("PatientPosition") in _POSITIONS else None
    part = str(source.get("BodyPartExamined") or "").upper().strip()
    if re.fullmatch(r"[A-Z0-9_ ]{1,16}", part):
        made.BodyPartExamined = part
    if part not in _UNPAIRED:
        # Type 2C: it must be there, empty where nobody knows.
        made.Laterality = source.get("Laterality") if source.get("Laterality") in ("L", "R") else None


def _copy(made: Dataset, source: Dataset, names: Sequence[str]) -> None:
    for name in names:
        if source.get(name) not in (None, "", []):
            made[name] = source[name]
