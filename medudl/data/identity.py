"""Pseudonyms that join, and names that are safe as file names.

A pseudonym is a keyed hash (HMAC-SHA256, cut to 48 bits): the same patient gets the same one as long as the key file is
the same, and without the key it cannot be found by hashing every possible PatientID, as it could with a bare hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from medudl.errors import UserError

KEY_NAME = "medudl.key"
_LETTER = {"subject": "p", "study": "s", "series": "v"}  # a leading letter: "12345e678" would be read as a number
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 64


@dataclass(frozen=True)
class Key:
    """32 secret bytes. `id` names the key without giving it away; it is stored with cohorts and runs."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """8 hexadecimal digits, the same for the same key."""
        return hmac.new(self.secret, b"medudl key id", hashlib.sha256).hexdigest()[:8]

    def pseudonym(self, text: str, kind: str = "subject") -> str:
        """Letter p (subject), s (study) or v (series), and 12 hexadecimal digits of HMAC-SHA256(key, kind + text).

        Blanks and NULs around `text`, which DICOM pads with, do not count.
        """
        clean = text.strip(" \0\t\r\n")
        digest = hmac.new(self.secret, f"{kind}\0{clean}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return _LETTER[kind] + digest[:12]

    @classmethod
    def generate(cls) -> Key:
        """A new random key, in memory only."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: str | Path) -> Key:
        """Read a key file. Raises UserError: absent, or not 64 hexadecimal digits."""
        path = Path(path)
        try:
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise UserError(f"{path}: no such key file; it is written beside cohort.csv by `medudl index`") from None
        except (OSError, UnicodeDecodeError):
            text = ""
        if not re.fullmatch("[0-9a-f]{64}", text):
            raise UserError(f"{path}: not a key of medudl (64 hexadecimal digits); restore it, or remove it")
        return cls(bytes.fromhex(text))

    @classmethod
    def load_or_create(cls, path: str | Path) -> Key:
        """Read the key file, or write a new one that its owner alone may read (mode 0600)."""
        path = Path(path)
        if not path.exists():
            cls.generate().save(path)
        return cls.load(path)

    def save(self, path: str | Path) -> None:
        """Write the key with mode 0600. A file that is there is kept: without its key, pseudonyms join no more."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(self.secret.hex() + "\n")
        try:
            os.link(draft, path)  # unlike a rename, a link never replaces a key that another process has just written
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def safe_name(text: str) -> str:
    """`text` if it is safe as part of a file name on any system, else a safe form of it with 8 digits of its hash.

    Safe: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, not ending in a dot, no device name (CON).
    Different texts get different names, up to a hash collision.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) and len(text) <= _LONGEST:
        if not text.endswith(".") and not _RESERVED.fullmatch(text):
            return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = unicodedata.normalize("NFKD", text[:256]).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[: _LONGEST - 9].strip("-")
    return f"{plain}-{digest}" if plain else f"x-{digest}"


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in order, a repeated one with -2, -3 ... behind it."""
    taken: set[str] = set()
    out = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate)
        out.append(candidate)
    return out
