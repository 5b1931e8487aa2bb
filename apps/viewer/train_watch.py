"""Watching one training: how it stands, what goes wrong, curves, pictures, settings, and what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from apps.viewer import curves
from apps.viewer.alarms import alarms
from apps.viewer.catalogue import Catalogue
from apps.viewer.config_diff import difference
from apps.viewer.process import Process
from apps.viewer.theme import quiet
from apps.viewer.train_start import command, configs, resume_arguments
from apps.viewer.train_words import safe, shown
from apps.viewer.trainings import State, Training, duration, settings_of, speed, state_of, steps_of
from apps.viewer.words import count, sentence
from medudl.config import read_config
from medudl.errors import UserError
from medudl.training.course import Course

EVERY = 2.0  # seconds between two looks at the files of a training that is at work
_IDLE = 10.0  # and at those of one that is not: it may be started elsewhere
_VIEWS = ("Curves", "Pictures", "Settings", "Output")
_COURSES = "train-courses"
_KEPT = 8  # logs that a session follows
_PICTURE = re.compile(r"step-(\d+)\.png")
_MOST_PLOT = 560
_LEGEND = (
    "Each row is one held-out scan, the same ones at every step, its middle slice where it is a volume.",
    "First column: the scan. Second: the model's answer to it, which should come to look like the scan. Third: the map"
    " of what it finds unusual, brightest where it is most.",
    "What lies outside the body part is shown here as well; in results it is cut away.",
    "A method has no column that it has no answer for. Images that a generator makes of its own stand below the rows.",
)


def watch(catalogue: Catalogue, training: Training, others: Sequence[Training]) -> None:
    """Draw it, again and again as long as the page is open; only files are read, and only what is new of them."""
    state = state_of(training.path)
    st.fragment(_live, run_every=EVERY if state.alive else _IDLE)(catalogue, training, others, state.kind)


def _live(catalogue: Catalogue, training: Training, others: Sequence[Training], kind: str) -> None:
    state = state_of(training.path)
    if state.kind != kind:
        st.rerun()  # the list says it too
    course, trouble = followed(training)
    _head(catalogue, training, state, course)
    if trouble:
        st.warning(trouble)
    for alarm in alarms(course, monitor(course)):
        st.warning(alarm.told, icon=":material/warning:")
    view = st.segmented_control("View", _VIEWS, default=_VIEWS[0], required=True, key="train-view",
                                label_visibility="collapsed")  # fmt: skip
    if view == "Pictures":
        _pictures(training)
    elif view == "Settings":
        _settings(training, others, catalogue.folder)
    elif view == "Output":
        _output(training, catalogue)
    else:
        _curves(training, course, others)


def followed(training: Training) -> tuple[Course, str]:
    """The log of a training, read on from where this session had read to; and a sentence where it cannot be read."""
    kept: dict[str, Course] = st.session_state.setdefault(_COURSES, {})
    course = kept.pop(training.id, None) or Course(training.path / "log.jsonl")
    kept[training.id] = course  # the latest last
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
    had = bool(course.curves)
    try:
        course.update()
    except OSError:
        return course, "The log of this training cannot be read; is its disk still there?"
    if had and not course.curves:
        return course, "The log of this training has been deleted or emptied. What was drawn here is gone."
    return course, ""


def monitor(course: Course) -> str:
    """The validation quantity that chooses the best weights: the loss, else the first one that is logged."""
    names = [name for kind, name in course.curves if kind == "validation"]
    return "loss" if "loss" in names or not names else names[0]


def _head(catalogue: Catalogue, training: Training, state: State, course: Course) -> None:
    left, right = st.columns([5, 2], vertical_alignment="center")
    with left:
        st.markdown(f"**{_plain(training.name)}** &nbsp; {_plain(safe(state.told, training.path))}")
    with right:
        _buttons(catalogue, training, state)
    total = steps_of(training.path)
    if total and course.step:
        st.progress(min(1.0, course.step / total), text=_progress(state, course, total))
    if state.estimate and state.kind in ("preparing", "running"):
        quiet(f"Estimated before it began: {state.estimate}.")


def _progress(state: State, course: Course, total: int) -> str:
    told = f"Step {course.step:,} of {total:,}"
    rate = speed(state.began, course.step) if state.kind in ("running", "elsewhere") else None
    if rate:
        pace = f"{rate:.1f} steps a second" if rate >= 1 else f"{1 / rate:.1f} s a step"
        told += f" · {pace} · about {duration((total - course.step) / rate)} left"
    curve = course.curves.get(("validation", monitor(course)))
    if curve and len(curve.values):
        best = min(range(len(curve.values)), key=curve.values.__getitem__)
        told += f" · best on held-out scans {curve.values[best]:.3g}, at step {curve.steps[best]:,}"
    return told


def _buttons(catalogue: Catalogue, training: Training, state: State) -> None:
    process = Process(training.path)
    try:
        if state.alive:
            if state.ours and st.button("Stop safely", icon=":material/stop_circle:", key="train-stop",
                                        help="It writes a checkpoint and can go on later."):  # fmt: skip
                process.stop()
                st.rerun()
        elif state.resumable:
            if st.button("Go on", icon=":material/play_arrow:", type="primary", key="train-resume",
                         help="From its last checkpoint, with the same settings and scans."):  # fmt: skip
                process.start(resume_arguments(training.path, catalogue.folder), catalogue.folder)
                st.rerun()
        elif process.known and not training.method and st.button("Remove from the list", key="train-forget"):
            process.forget()
            st.query_params.clear()
            st.rerun()
    except UserError as error:
        st.error(sentence(safe(str(error), training.path)))


def _curves(training: Training, course: Course, others: Sequence[Training]) -> None:
    cells = st.columns([2.2, 2.6, 1.6, 1.2], vertical_alignment="bottom")
    compared = cells[1].multiselect("Lay other trainings over it", others, format_func=lambda other: other.name,
                                    key=f"train-over-{training.id}", placeholder="none")  # fmt: skip
    chosen = [(training.name, course), *((other.name, followed(other)[0]) for other in compared)]
    known = curves.quantities([each for _, each in chosen])
    if not known:
        quiet("No curve yet: the first figures come after ten steps.")
        return
    quantity = cells[0].selectbox("Quantity", known, format_func=curves.words, key=f"train-quantity-{training.id}")
    weight = cells[2].slider("Smoothing", 0.0, 0.99, 0.6, 0.01, key="train-smoothing",
                             help="Exponential: the share of the average so far. Thin lines show what was measured;"
                             " points on held-out scans are never smoothed.")  # fmt: skip
    drawn = curves.lines(chosen, quantity)
    possible = curves.can_be_logarithmic(drawn)
    wanted = cells[3].toggle("Log axis", True, key="train-log")
    st.plotly_chart(curves.picture(drawn, weight, wanted and possible, course.stages if not compared else ()),
                    height=_height(course), key=f"train-plot-{training.id}-{quantity}", theme=None,
                    config={"displaylogo": False, "displayModeBar": False})  # fmt: skip
    if wanted and not possible:
        quiet("Some values are 0 or below, which a logarithmic axis cannot show: the axis is linear.")


def _height(course: Course) -> int:
    """Less where alarms take some of the height: nothing is to be scrolled to."""
    return max(320, _MOST_PLOT - 75 * len(alarms(course, monitor(course))))


def _pictures(training: Training) -> None:
    found = {int(m[1]): p for p in _listed(training.path / "samples") if (m := _PICTURE.fullmatch(p.name))}
    if not found:
        quiet(_no_pictures(training))
        return
    steps = sorted(found)
    key = f"train-picture-{training.id}"
    if st.session_state.get(key) not in steps:
        st.session_state[key] = steps[-1]
    if len(steps) > 1:
        step = st.select_slider("Step", steps, key=key, format_func=lambda step: f"{step:,}")
    else:
        step = steps[0]
    left, right = st.columns([1.6, 1], gap="medium")
    try:
        data = found[step].read_bytes()
        left.image(data, width=_width(data), output_format="PNG")
    except (OSError, ValueError):
        quiet("This picture cannot be read: it has been deleted or damaged.")
        return
    with right:
        for told in _LEGEND:
            quiet(told)


def _no_pictures(training: Training) -> str:
    train = settings_of(training.path).get("train")
    every, steps = (train.get("sample_every"), train.get("steps")) if isinstance(train, dict) else (None, None)
    if not isinstance(every, int) or not isinstance(steps, int):
        return "No pictures yet."
    if every > steps:
        return f"No pictures: they are made every {every:,} steps, and this training has {steps:,} (sample_every)."
    return f"No pictures yet: the first is made at step {every:,}."


def _width(data: bytes) -> int:
    """As large as fits, pixels kept square."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    return max(1, int(width * min(640 / width, _MOST_PLOT / height)))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _settings(training: Training, others: Sequence[Training], folder: Path) -> None:
    own = shown(settings_of(training.path))
    if not own:
        quiet("The settings of this training cannot be read: config.yaml is absent or damaged.")
        return
    trainings = {other.name: other for other in others}
    files = {f"settings of {name}": path for name, path in configs(folder).items() if path.parent != training.path}
    name = st.selectbox("Compared with", [*trainings, *files], key=f"train-other-{training.id}")
    try:
        # A file of settings leaves out what is as usual; a run's holds everything.
        known = trainings.get(name)
        two = settings_of(known.path) if known else read_config(files[name]).model_dump(mode="json")
    except UserError as error:
        st.error(sentence(safe(str(error))))
        return
    if not two:
        quiet("The settings of the other training cannot be read: its config.yaml is absent or damaged.")
    else:
        _differences(difference(own, shown(two)), training.name, name)
    with st.expander("All settings of this training"):
        import yaml

        st.code(yaml.safe_dump(own, sort_keys=False, allow_unicode=True), language="yaml", height=360)


def _differences(rows: Sequence[tuple[str, str, str, str]], one: str, two: str) -> None:
    quiet(f"{count(len(rows), 'setting')} differ{'s' if len(rows) == 1 else ''}." if rows else "No setting differs.")
    if rows:
        columns = ("Setting", "Name in the file", one, two)
        st.dataframe([dict(zip(columns, row, strict=True)) for row in rows], hide_index=True)


def _output(training: Training, catalogue: Catalogue) -> None:
    said = [safe(line, training.path) for line in Process(training.path).output()]
    if said:
        st.code("\n".join(said), language=None, height=400, wrap_lines=True)
    else:
        quiet("What it said is not kept: it was started in a terminal.")
    if training.method:
        quiet("To let it go on in a terminal, in the opened folder:")
        st.code(command(resume_arguments(training.path, catalogue.folder)), language="bash", wrap_lines=True)


def _plain(text: str) -> str:
    """Markdown's signs as letters."""
    return re.sub(r"([\\`*_{}\[\]<>#$:|~])", r"\\\1", text)
