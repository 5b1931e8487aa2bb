"""The items of two reporting guidelines, named in our own words, and what a run knows of each.

CLAIM: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging, 2024 update, Radiology: Artificial
Intelligence 6(4):e240300. TRIPOD+AI: Collins et al., BMJ 385:e078378 (2024). Their texts are the authority; numbers
here are theirs. TRIPOD+AI is for models that predict an outcome: of an anomaly map, the outcome is "has a lesion".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item. facts: keys of `Facts.told` that answer it, joined; write: what people must add, "" if nothing.

    otherwise: what to do where the run has none of the facts. An item that no fact answers is open, one with facts and
    `write` is known in part.
    """

    number: str
    name: str
    facts: tuple[str, ...] = ()
    write: str = ""
    otherwise: str = ""


EVALUATE = "run `medudl evaluate` and export with --report"


def _item(number: str, name: str, facts: str = "", write: str = "", otherwise: str = "") -> Item:
    return Item(number, name, tuple(facts.split()), write, otherwise)


CLAIM = (
    _item("1", "title or abstract names the kind of AI", "kind", "put it into your title or abstract"),
    _item("2", "abstract", "", "a structured summary of design, methods, results and conclusions"),
    _item("3", "background and intended role", "use", "the clinical question, and what readers would use it for"),
    _item("4", "aims and hypotheses", "", "the question asked and the hypothesis, fixed before the results were seen"),
    _item("5", "prospective or retrospective", "", "collected for this study, or taken from an archive"),
    _item("6", "goal of the study", "task", "feasibility, development, or proof of benefit"),
    _item("7", "data sources", "sources", "hospitals, dates, public collections and how to get the data"),
    _item("8", "inclusion and exclusion", "eligibility", "which patients were asked for, where and when"),
    _item("9", "preprocessing", "preprocessing"),
    _item("10", "choice of parts of the data", "subsets"),
    _item("11", "de-identification", "identity", "what was done to the scans before they came here"),
    _item("12", "missing data", "missing"),
    _item("13", "acquisition", "acquisition", "field strength, sequence or kernel parameters, contrast agent"),
    _item("14", "reference standard: definition", "reference", "what counts as a lesion or as healthy, repeatably"),
    _item("15", "reference standard: why this one", "", "the alternatives, and why they were not taken"),
    _item("16", "reference standard: who made it", "", "number, training and instructions of the annotators"),
    _item("17", "annotation of the test set", "", "software, steps, and how a consensus was reached"),
    _item("18", "agreement of annotators", "", "agreement between and within readers"),
    _item("19", "assignment to partitions", "partitions", "why these shares"),
    _item("20", "level at which partitions are disjoint", "disjoint"),
    _item("21", "size of the test set", "test_size", "how that number was chosen (power, width of the interval)"),
    _item("22", "model", "model"),
    _item("23", "software", "software"),
    _item("24", "initial parameters", "initial"),
    _item("25", "training", "training"),
    _item("26", "choice of the final model", "selection", "how many configurations were tried before this one"),
    _item("27", "ensembles", "ensemble"),
    _item("28", "performance measures", "measures", otherwise=EVALUATE),
    _item("29", "significance and uncertainty", "intervals", otherwise=EVALUATE),
    _item("30", "robustness", "robustness", "other scanners, noise, shifts, seeds: what was tried, what came of it"),
    _item("31", "explainability", "explained"),
    _item("32", "testing on internal data", "results", "the same figures on the data it was tuned on", EVALUATE),
    _item("33", "testing on external data", "", "results at another site, or why there are none"),
    _item("34", "trial registration", "", "registry and number, or that it does not apply"),
    _item("35", "numbers included and excluded", "flow", "patients that never reached the folder, as a flow diagram"),
    _item("36", "demography and disease by partition", "demography", "disease, stage, possible sources of bias"),
    _item("37", "performance on every partition", "results", "the figures by subgroup", EVALUATE),
    _item("38", "diagnostic accuracy with intervals", "accuracy", otherwise=EVALUATE),
    _item("39", "failures", "failures", "look at what was missed or falsely flagged, and say why", EVALUATE),
    _item("40", "limitations", "limits", "the limits of your data, reference standard and setting"),
    _item("41", "implications for practice", "use", "what would change in practice, and what stands in the way"),
    _item("42", "full protocol", "protocol", "a link to your protocol"),
    _item("43", "software, model and data", "availability", "where weights and data can be had, on what terms"),
    _item("44", "funding", "", "who paid, and what part they had in the study"),
)  # fmt: skip

TRIPOD = (
    _item("1", "title", "kind", "population, outcome, and whether it is developed or evaluated"),
    _item("2", "abstract", "", "a structured abstract (TRIPOD+AI for Abstracts)"),
    _item("3a", "context and rationale", "use", "the decision it is for, and existing models"),
    _item("3b", "target population and users", "", "whom it is for, where in the pathway, who would use it"),
    _item("3c", "health inequalities", "", "differences between groups that are known for this disease or scan"),
    _item("4", "objectives", "task", "whether the study develops, evaluates, or both"),
    _item("5a", "data sources", "sources", "hospitals or collections, and how representative they are"),
    _item("5b", "dates", "", "first and last date of the scans, end of follow-up"),
    _item("6a", "setting", "", "level of care, number and place of the centres"),
    _item("6b", "eligibility", "eligibility", "which patients were asked for"),
    _item("6c", "treatments", "", "treatments before the scan, such as surgery, or that there were none"),
    _item("7", "data preparation", "preprocessing", "whether its quality is the same in all groups of patients"),
    _item("8a", "outcome", "reference", "what was to be found, how and when it was determined"),
    _item("8b", "who determined the outcome", "", "qualification of those who judged"),
    _item("8c", "blinding of the outcome", "", "whether they saw the model's output"),
    _item("9a", "choice of predictors", "predictors"),
    _item("9b", "definition of predictors", "preprocessing acquisition"),
    _item("9c", "who measured predictors", "measured"),
    _item("10", "sample size", "test_size", "how it was decided and whether it suffices"),
    _item("11", "missing data", "missing"),
    _item("12a", "use of the data", "partitions"),
    _item("12b", "handling of predictors", "preprocessing"),
    _item("12c", "model building", "model training selection", "how many configurations were tried before this one"),
    _item("12d", "differences between clusters", "", "how hospitals or scanners were dealt with"),
    _item("12e", "performance measures", "measures", otherwise=EVALUATE),
    _item("12f", "updating of the model", "calibration", "whether anything was adapted to the evaluation data"),
    _item("12g", "how predictions are computed", "prediction"),
    _item("13", "class imbalance", "imbalance"),
    _item("14", "fairness", "", "what was done to find and lessen differences between groups of patients"),
    _item("15", "model output", "output"),
    _item("16", "development and evaluation data differ", "disjoint", "differences of setting, patients, outcome"),
    _item("17", "ethics", "", "approval and consent, or their waiver"),
    _item("18a", "funding", "", "who paid, and what part they had in the study"),
    _item("18b", "conflicts of interest", "", "those of every author"),
    _item("18c", "protocol", "protocol", "a link to your protocol, or that there is none"),
    _item("18d", "registration", "", "registry and number, or that it was not registered"),
    _item("18e", "sharing of data", "", "where the data can be had, on what terms"),
    _item("18f", "sharing of code", "availability", "a link to your own scripts"),
    _item("19", "patients and public", "", "how they were involved, or that they were not"),
    _item("20a", "flow of participants", "flow", "a flow diagram from the archive to the analysis"),
    _item("20b", "characteristics", "demography", "predictors, outcome and missing data by group and setting"),
    _item("20c", "comparison with development data", "", "distributions of age, sex, disease and scanner in both"),
    _item("21", "participants and outcomes in each analysis", "partitions results"),
    _item("22", "full specification", "availability model"),
    _item("23a", "performance with intervals", "results", "the figures by subgroup", EVALUATE),
    _item("23b", "performance by cluster", "", "the figures by hospital and scanner"),
    _item("24", "results of updating", "", "if it was updated: what changed"),
    _item("25", "interpretation", "", "what the results mean, fairness included, beside earlier studies"),
    _item("26", "limitations", "limits", "the limits of your data, reference standard and setting"),
    _item("27a", "poor or missing input in use", "refusal"),
    _item("27b", "interaction and expertise needed", "interaction", "the training that readers need"),
    _item("27c", "next steps", "", "what has to be shown before it could be used"),
)  # fmt: skip
