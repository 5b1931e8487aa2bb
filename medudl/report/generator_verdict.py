"""The closing line on a generator: is it nearer to held-out patients than a Gaussian of the training images?"""

from __future__ import annotations

from typing import Any

from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.kernel_difference import kernel_difference
from medudl.report.generator_figures import REPEATS, three_digits
from medudl.report.generator_sets import Sets
from medudl.report.trivial_generator import NAME as TRIVIAL
from medudl.report.verdict import FEWEST


def closing(sets: Sets, network: str) -> dict[str, Any]:
    """{"verdict", "beats", "measure", "difference"} by KID in the features of `network`, paired by held-out patient."""
    real = sets.held_out
    name = network.split(",")[0]
    told: dict[str, Any] = {"measure": f"kernel distance, {network}", "beats": None, "difference": None}
    try:
        found = kernel_difference(
            sets.samples.features[network], sets.trivial.features[network], real.features[network], real.patients,
            REPEATS,
        )  # fmt: skip
    except UserError as error:
        return {**told, "verdict": f"No verdict: {error}."}
    told["difference"] = found.as_dict()
    if found.n < FEWEST:
        few = "1 held-out patient is" if found.n == 1 else f"{found.n} held-out patients are"
        return {**told, "verdict": f"No verdict: {few} too few, {FEWEST} are the least."}
    beats = found.high < 0
    line = (
        f"The generator {'beats' if beats else 'does not beat'} the trivial one, a {TRIVIAL}, on held-out patients"
        f" (kernel distance in features of {name}: difference {_words(found)}, n = {found.n} patients,"
        f" {len(sets.samples)} samples each)."
    )
    return {**told, "beats": beats, "verdict": line}


def _words(found: Estimate) -> str:
    value, low, high = (("+" if x > 0 else "") + three_digits(x) for x in (found.value, found.low, found.high))
    return f"{value}, 95 % interval {low} to {high}, below 0 is better"
