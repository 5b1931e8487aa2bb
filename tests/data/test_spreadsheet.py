"""A spreadsheet works nothing out, and what is read back is what was written."""

from __future__ import annotations

import pandas as pd
import pytest

from medudl.data.spreadsheet import guarded, plain, plain_frame


@pytest.mark.parametrize("text", ["=1+1", "+49", "-Ann", "@me", "\tx", "\rx", "'=1", "''-x"])
def test_what_begins_like_a_formula_is_guarded(text: str) -> None:
    assert guarded(text) == "'" + text and plain("'" + text) == text


@pytest.mark.parametrize("text", ["", "sick", "'t is", "O'Neil", "a=b", "'", "3-4", " =1"])
def test_all_else_is_kept(text: str) -> None:
    assert guarded(text) == text and plain(text) == text


def test_numbers_are_kept() -> None:
    assert guarded(-3) == -3


def test_a_table_is_read_back() -> None:
    table = plain_frame(pd.DataFrame({"'-Ann": ["'=x", "normal"]}))
    assert table.to_dict("list") == {"-Ann": ["=x", "normal"]}
