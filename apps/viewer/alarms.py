"""What goes wrong in a training, in words with figures. A rule looks at the log alone, and is silent when unsure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

from medudl.training.course import Course, Curve

RECENT = 5  # lines of the log, 10 steps each, that stand for "now"
ENOUGH = 20  # lines before a rule on training lines speaks
VALIDATIONS = 6  # before a rule on validation speaks
EXPLODED = 100.0  # times its usual size
NEAR_NOTHING = 0.05  # of the discriminator's loss: told apart almost without error
NEAR_ALL = 0.98  # of its accuracy
ALIKE = 0.1  # of the scans' own spread
WORSE = 1.05  # times the best validation


@dataclass(frozen=True)
class Alarm:
    """kind: "nan", "gradient", "discriminator", "collapse", "overfitting", "no progress". told: what, and the cure."""

    kind: str
    told: str


def alarms(course: Course, monitor: str = "loss") -> list[Alarm]:
    """All that is to be said about a log, the gravest first. monitor: the validation quantity that chooses weights."""
    rules = [not_a_number(course), exploding_gradient(course), discriminator_wins(course), collapse(course)]
    rules.append(overfitting(course, monitor) or no_progress(course, monitor))
    return [alarm for alarm in rules if alarm]


def not_a_number(course: Course) -> Alarm | None:
    """Any logged quantity but a gradient (fp16 skips those steps) that is NaN or infinite among its latest lines."""
    for (kind, name), curve in course.curves.items():
        if name.endswith("/gradient"):
            continue
        for step, value in zip(curve.steps[-RECENT:], curve.values[-RECENT:], strict=True):
            if not math.isfinite(value):
                word = "not a number (NaN)" if math.isnan(value) else "infinite"
                told = f"{_name(kind, name)} is {word} at step {step:,}. Stop, and train with a smaller learning rate."
                return Alarm("nan", told)
    return None


def exploding_gradient(course: Course) -> Alarm | None:
    """The median gradient of the last RECENT lines is EXPLODED times the median of all lines before them."""
    for name, curve in _training(course, "/gradient"):
        values = _finite(_stage(course, curve).values)
        if len(values) < ENOUGH + RECENT:
            continue
        now, usual = median(values[-RECENT:]), median(values[:-RECENT])
        if usual > 0 and now > EXPLODED * usual:
            return Alarm(
                "gradient", f"The {name.partition('/')[0]}'s corrections explode: {now / usual:,.0f} times their usual"
                f" size ({usual:.2g} before, {now:.2g} now). Use a smaller learning rate, or limit them (clip_norm).",
            )  # fmt: skip
    return None


def discriminator_wins(course: Course) -> Alarm | None:
    """For ENOUGH lines the discriminator's loss, never negative, stays below NEAR_NOTHING, or its accuracy near 1.

    A critic (Wasserstein) is no discriminator: its loss has no bottom that would mean a win.
    """
    for name, curve in _training(course, ""):
        player, _, part = name.partition("/")
        recent = curve.values[-ENOUGH:]
        if not player.startswith("discriminator") or len(recent) < ENOUGH:
            continue
        if part == "accuracy" and min(recent) > NEAR_ALL:
            figure = f"right in {100 * fmean(recent):.1f} % of cases"
        elif part == "loss" and min(_finite(curve.values), default=-1) >= 0 and max(recent) < NEAR_NOTHING:
            figure = f"a loss of {fmean(recent):.2g}, nearly 0"
        else:
            continue
        return Alarm(
            "discriminator", f"The {player} wins: it tells made images from real ones almost without error ({figure},"
            f" since step {curve.steps[-ENOUGH]:,} at least), so that the other network learns nothing more from it."
            " Let it learn more slowly.",
        )  # fmt: skip
    return None


def collapse(course: Course) -> Alarm | None:
    """The training says so itself (a generator's), or in the two latest pictures answers or samples hardly differ.

    Their spread is below ALIKE of that of the scans, whose pictures are always the same. Of a single picture, that one.
    """
    told, spreads = (course.curves.get(("picture", f"collapse/{name}")) for name in ("alarm", "spread"))
    if told is not None and spreads is not None and told.values[-1] > 0:
        return Alarm(
            "collapse", f"Nearly the same images are made again and again: two of them lie {spreads.values[-1]:.2f}"
            f" times as far apart as two scans (step {told.steps[-1]:,}). It has collapsed: see Pictures, and try"
            " tricks against it (minibatch_discrimination, unrolling, diff_augment).",
        )  # fmt: skip
    real = course.curves.get(("picture", "spread/input"))
    if real is None:
        return None
    for name, words in (("answer", "The answers to different scans"), ("sample", "The made images")):
        curve = course.curves.get(("picture", f"spread/{name}"))
        if curve is None:
            continue
        pairs = [(a, b) for a, b in zip(curve.values[-2:], real.values[-2:], strict=False) if b > 0]
        if pairs and all(a < ALIKE * b for a, b in pairs):
            a, b = pairs[-1]
            return Alarm(
                "collapse", f"{words} are nearly all the same: they differ by {100 * a / b:.1f} % of what the scans"
                f" differ (step {curve.steps[-1]:,}). It has collapsed: see Pictures, and train with other settings.",
            )  # fmt: skip
    return None


def overfitting(course: Course, monitor: str = "loss") -> Alarm | None:
    """Validation has risen above WORSE times its best for three validations, and the training loss has fallen since."""
    curve = _validation(course, monitor)
    if curve is None or len(curve.values) < VALIDATIONS:
        return None
    best = min(range(len(curve.values)), key=curve.values.__getitem__)
    now = fmean(curve.values[-3:])
    if best >= len(curve.values) - 3 or curve.values[best] <= 0 or now <= WORSE * curve.values[best]:
        return None
    for name, train in _training(course, "/loss"):
        then, later = _near(train, curve.steps[best]), _near(train, curve.steps[-1])
        if then and later and 0 < fmean(later) < fmean(then):
            return Alarm(
                "overfitting", f"It learns its scans by heart: on held-out scans the error was least at"
                f" step {curve.steps[best]:,} ({curve.values[best]:.3g}) and is {now:.3g} now, while on its own scans"
                f" it still falls ({name.partition('/')[0]}: {fmean(then):.3g} then, {fmean(later):.3g} now). The best"
                " weights are kept; it can be stopped. More scans, or more augmentation, would help.",
            )  # fmt: skip
    return None


def no_progress(course: Course, monitor: str = "loss") -> Alarm | None:
    """The best validation lies before the last third of all validations of this stage."""
    curve = _validation(course, monitor)
    if curve is None or len(curve.values) < VALIDATIONS:
        return None
    best = min(range(len(curve.values)), key=curve.values.__getitem__)
    since = len(curve.values) - 1 - best
    if 3 * since < len(curve.values):
        return None
    return Alarm(
        "no progress", f"No progress: the error on held-out scans was least at step {curve.steps[best]:,}"
        f" ({curve.values[best]:.3g}); in the {since} validations since it has been {min(curve.values[best + 1 :]):.3g}"
        " or more. The best weights are kept; it may as well be stopped.",
    )  # fmt: skip


def _validation(course: Course, monitor: str) -> Curve | None:
    curve = course.curves.get(("validation", monitor))
    return None if curve is None else _stage(course, curve)


def _stage(course: Course, curve: Curve) -> Curve:
    """The part of a curve that lies in the present phase, which has losses of its own."""
    first = course.stages[-1] if course.stages else 0
    kept = next((i for i, step in enumerate(curve.steps) if step >= first), len(curve.steps))
    return Curve(curve.steps[kept:], curve.values[kept:])


def _training(course: Course, ending: str) -> list[tuple[str, Curve]]:
    return [(name, c) for (kind, name), c in course.curves.items() if kind == "train" and name.endswith(ending)]


def _near(curve: Curve, step: int) -> list[float]:
    """The RECENT values up to a step."""
    return _finite([v for s, v in zip(curve.steps, curve.values, strict=True) if s <= step][-RECENT:])


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _name(kind: str, name: str) -> str:
    where = "on held-out scans" if kind == "validation" else "in training"
    return f"{name.rpartition('/')[2].replace('_', ' ').capitalize()} {where}"
