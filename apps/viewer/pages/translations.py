"""CT <-> MR: a scan beside the other contrast that a model made of it, how unsure that is, and what warns of it."""

from __future__ import annotations

import streamlit as st

from apps.viewer.anomalies import Shelf
from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.house import house
from apps.viewer.theme import empty
from apps.viewer.translations import Made, Translation, translations_of
from apps.viewer.translations_find import TranslationFolder, translation_folders, translation_runs
from apps.viewer.translations_make import make
from apps.viewer.translations_table import pick
from medudl.errors import UserError


def page() -> None:
    """Draw the page: nothing there yet, a run that can translate, the list of scans, or one of them."""
    catalogue = Catalogue(*house().settings.places)
    folders, runs = translation_folders(catalogue), translation_runs(catalogue)
    if not folders and not runs:
        _nothing(catalogue)
        return
    options: dict[str, TranslationFolder | RunFolder] = {
        **{folder.id: folder for folder in folders}, **{run.id: run for run in runs}
    }  # fmt: skip
    chosen = _asked(options)
    if isinstance(chosen, RunFolder):
        _box(options, chosen)
        make(catalogue, chosen)
        return
    try:
        scans = translations_of(chosen)
    except UserError as error:
        _box(options, chosen)
        empty("These synthetic scans cannot be shown", str(error))
        return
    shelf = Shelf(catalogue, None, house().settings.private)
    scan = next((scan for scan in scans if scan.id == st.query_params.get("scan", "")), None)
    if scan is None:
        if "scan" in st.query_params:
            st.info("The link names a scan that is not in this folder any more. Choose one from the list.")
        _box(options, chosen)
        picked = pick(scans, shelf)
        if picked is not None:
            _go(chosen, picked)
            st.rerun()
        return
    _read(chosen, scans, scan, shelf)


def _nothing(catalogue: Catalogue) -> None:
    empty("No synthetic scans yet", "Here a scan is shown beside the contrast that a model made of it: CT from MR, T2"
          " from T1, with how unsure the model is.",
          "A model that translates is still being trained, or its training broke off: see the Train page."
          if any((run.path / "sides.json").is_file() for run in catalogue.runs()) else
          "First train a model that translates, pix2pix or cyclegan: see the Train page.",
          "With a trained run, in a terminal: medudl translate RUN cohort.csv -o OUT. What it writes appears here when"
          " OUT lies in the opened folder.")  # fmt: skip


def _asked(options: dict[str, TranslationFolder | RunFolder]) -> TranslationFolder | RunFolder:
    """What the address names, else the first."""
    wanted = st.query_params.get("of", "")
    if wanted and wanted not in options:
        st.info("The link names synthetic scans that are not in this folder any more. These are others.")
    return options.get(wanted, next(iter(options.values())))


def _box(options: dict[str, TranslationFolder | RunFolder], chosen: TranslationFolder | RunFolder) -> None:
    """Other synthetic scans, or a run to make some with."""
    ids = list(options)
    picked = st.selectbox("Synthetic scans", ids, index=ids.index(chosen.id), label_visibility="collapsed",
                          format_func=lambda id: _word(options[id]), key=f"translations-of-{chosen.id}")  # fmt: skip
    if picked != chosen.id:
        st.query_params.from_dict({"of": picked})
        st.rerun()


def _word(option: TranslationFolder | RunFolder) -> str:
    return f"Translate with {option.name}" if isinstance(option, RunFolder) else option.name


def _read(folder: TranslationFolder, scans: list[Translation], scan: Translation, shelf: Shelf) -> None:
    from apps.viewer.translations_open import Reading, show

    able = [one for one in scans if one.made or one is scan]  # the keys live in the pictures: none leads out of them
    here = able.index(scan)
    widths = [1.5, 4.4, 0.5, 0.5, 2 if len(scan.made) > 1 else 0.1]
    back, which, left, right, contrast = st.columns(widths, vertical_alignment="center", gap="small")
    with back:
        if st.button("Back to the list", icon=":material/arrow_back:", width="stretch"):
            st.query_params.from_dict({"of": folder.id})
            st.rerun()
    with which:
        _switch(folder, scans, scan, shelf)
    with contrast:
        made = _contrast(scan)

    def step(by: int) -> None:
        _go(folder, able[min(max(here + by, 0), len(able) - 1)])

    for cell, by, icon, help in ((left, -1, "left", "Scan before (P)"), (right, 1, "right", "Next scan (N)")):
        with cell:
            off = not 0 <= here + by < len(able)
            st.button(f":material/chevron_{icon}:", help=help, disabled=off, key=f"translations-{icon}", on_click=step,
                      args=(by,))  # fmt: skip
    show(Reading(shelf, scan, made, here > 0, here < len(able) - 1, step))


def _switch(folder: TranslationFolder, scans: list[Translation], scan: Translation, shelf: Shelf) -> None:
    by_id = {one.id: one for one in scans}
    ids = list(by_id)
    picked = st.selectbox(
        "Scan", ids, index=ids.index(scan.id), format_func=lambda id: _line(by_id[id], shelf),
        key=f"translations-scan-{scan.id}", label_visibility="collapsed",
    )  # fmt: skip
    if picked != scan.id:
        _go(folder, by_id[picked])
        st.rerun()


def _line(scan: Translation, shelf: Shelf) -> str:
    visit = shelf.study(scan)
    study = f" · {visit}" if visit else ""
    if not scan.made:
        return f"{shelf.subject(scan)}{study} · {shelf.title(scan)} · not translated"
    sure = f" · ± {scan.uncertainty:.3g}" if scan.uncertainty is not None else ""
    return f"{'▲ ' if scan.warnings else ''}{shelf.subject(scan)}{study} · {scan.to} from {shelf.title(scan)}{sure}"


def _contrast(scan: Translation) -> Made | None:
    """Of several contrasts that were made at once, the one to look at."""
    if len(scan.made) < 2:
        return next(iter(scan.made), None)
    names = [made.name for made in scan.made]
    name = st.segmented_control("Contrast", names, default=names[0], required=True, key="translations-contrast",
                                label_visibility="collapsed")  # fmt: skip
    return scan.made[names.index(name)]


def _go(folder: TranslationFolder, scan: Translation) -> None:
    st.query_params.from_dict({"of": folder.id, "scan": scan.id})
