"""Pseudonyms that join, keys that only their owner may read, names that no file system minds."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medudl.data.identity import Key, safe_name, unique_names
from medudl.errors import UserError

HOSTILE = [
    "../../x",
    "a\0b",
    "x" * 10_000,
    "\u202eexe",
    "CON",
    "nul.txt",
    "line\nbreak",
    "",
    " ",
    ".",
    "..",
    "-rf",
    "é",
    "a/b",
    "~",
]


def test_pseudonyms_join_by_key_and_kind() -> None:
    key, other = Key(b"1" * 32), Key(b"2" * 32)
    assert key.pseudonym("Smith") == Key(b"1" * 32).pseudonym("Smith ") == key.pseudonym("Smith\0")
    assert key.pseudonym("Smith") != other.pseudonym("Smith")
    assert key.pseudonym("Smith")[1:] != key.pseudonym("Smith", "study")[1:]
    assert re.fullmatch("p[0-9a-f]{12}", key.pseudonym("Smith"))
    assert key.id != other.id and "1" * 32 not in repr(key)


def test_a_key_file_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "medudl.key"
    key = Key.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Key.generate().save(path)
    assert Key.load_or_create(path) == key
    assert [p.name for p in tmp_path.iterdir()] == ["medudl.key"]


def test_a_broken_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("short")
    with pytest.raises(UserError, match="not a key"):
        Key.load(tmp_path / "k")
    with pytest.raises(UserError, match="no such key"):
        Key.load(tmp_path / "absent")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_become_safe(text: str) -> None:
    _check(safe_name(text))


@given(st.text())
def test_any_text_becomes_safe_and_safe_names_stay(text: str) -> None:
    name = safe_name(text)
    _check(name)
    assert safe_name(name) == name


def test_plain_names_stay_and_others_stay_apart() -> None:
    for name in ("PGBM-001", "19911119", "IM-0115", "a_b.c", "NORMAL2-IM-0131"):
        assert safe_name(name) == name
    assert len({safe_name(text) for text in HOSTILE}) == len(HOSTILE)
    assert safe_name("a b") != safe_name("a/b")


def test_repeated_names_are_numbered() -> None:
    assert unique_names(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]


def _check(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) and not name.endswith(".")
    assert name.split(".")[0].lower() not in {"con", "nul", "aux", "prn", "com1", "lpt1"}
