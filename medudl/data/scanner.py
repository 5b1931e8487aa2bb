"""The scanner as a column: who made it, which model, how strong its field.

Words of a fixed list only. Manufacturer and model are free text to a scanner's console, and free text of a header is
never written: somebody may have put a name there. What the list does not know becomes "other".
"""

from __future__ import annotations

import re

_MAKERS = (
    "Siemens", "Philips", "GE", "Canon", "Toshiba", "Hitachi", "Fujifilm", "Hyperfine", "UIH", "Neusoft", "Agfa",
    "Carestream", "Kodak", "Konica", "Hologic", "Samsung", "Shimadzu", "Esaote", "Bruker", "Mindray", "Varian",
    "Elekta",
)  # fmt: skip
_ALIASES = {"general electric": "GE", "united imaging": "UIH", "fuji": "Fujifilm"}
_MODELS = (
    # Magnetic resonance
    "Aera", "Altea", "Avanto", "Biograph", "Espree", "Essenza", "Free.Max", "Lumina", "Magnetom", "Prisma", "Sempra",
    "Skyra", "Sola", "Sonata", "Spectra", "Symphony", "Terra", "Trio", "TrioTim", "Verio", "Vida", "Achieva",
    "Ambition", "Elition", "Gyroscan", "Ingenia", "Intera", "Panorama", "Artist", "Architect", "Brivo", "Discovery",
    "Genesis", "Optima", "Pioneer", "Premier", "Signa", "Vantage", "Galan", "Orian", "Titan",
    "Airis", "Echelon", "Oasis", "Swoop",
    # Computed tomography
    "Definition", "Drive", "Emotion", "Flash", "Force", "go.All", "go.Top", "go.Up", "NAEOTOM", "Perspective", "Scope",
    "Sensation", "Somatom", "Volume Zoom", "Brilliance", "iCT", "Incisive", "Ingenuity", "IQon", "Mx8000", "Spectral",
    "BrightSpeed", "HiSpeed", "LightSpeed", "QX/i", "Revolution", "Aquilion", "Asteion", "Prime", "Scenaria", "Supria",
)  # fmt: skip


def scanner_name(maker: str, model: str, tesla: float | None) -> str:
    """Name a scanner, "Siemens Skyra 3T", from a header's manufacturer, model and field; "" if it says nothing."""
    if not maker.strip() and not model.strip() and tesla is None:
        return ""
    words = [_maker(maker), *_models(model)]
    # Some vendors write gauss.
    strength = (tesla / 10_000 if tesla > 100 else tesla) if tesla is not None and tesla > 0 else None
    if strength is not None and 0.01 < strength < 25:
        words.append(f"{round(strength, 2 if strength < 1 else 1):g}T")
    return " ".join(words)


def _maker(text: str) -> str:
    lower = text.lower()
    for alias, name in _ALIASES.items():
        if alias in lower:
            return name
    return next((name for name in _MAKERS if re.search(rf"\b{name.lower()}\b", lower)), "other")


def _models(text: str) -> list[str]:
    return [name for name in _MODELS if re.search(rf"\b{re.escape(name.lower())}(?![a-z])", text.lower())][:2]
