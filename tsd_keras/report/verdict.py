"""Is the student worth it, what does it cost, where does it run: in one sentence."""

from tsd_keras.evaluation.scores import SCORES
from tsd_keras.evaluation.summary import deployed

ENGINES = {"float": "Keras, float", "litert": "LiteRT", "tflm": "TFLM", "c": "generated C"}
_FORMS = {"pruned": "pruned", "clustered": "clustered", "aware": "trained quantized"}
_RUNTIMES = {"tflm": "under TFLM", "c": "as generated C"}


def percent(value: float | None) -> str:
    """A share in per cent, with one digit behind the point."""
    return "–" if value is None else f"{100 * value:.1f} %"


def score(value: float | None, task: str) -> str:
    """A model's score as the task's readers know it."""
    if value is None:
        return "–"
    if task == "class":
        return percent(value)
    return f"{value:.4g}" if task == "values" else f"{round(value, 3) + 0.0:.3f}"  # 0, where it is -0


def sentence(metrics: dict) -> str:
    """The verdict on a run, from the contents of its `metrics.json`."""
    student = metrics["models"]["student"]
    engine, key = deployed(student), SCORES[metrics["task"]].key
    if (student[engine] or {}).get(key) is None:
        why = _unknown(student[engine])
        return f"How good the student is {why}; it has {_size(metrics)}; {_where(metrics)}."
    worth = _worth(metrics, engine) if metrics["task"] == "class" else _plain_worth(metrics, engine)
    return f"{worth}, with {_size(metrics)}; {_where(metrics)}.{_control(metrics, engine)}{_tables(student)}"


def _unknown(row) -> str:
    """Why there is no score."""
    if not row or "non_finite" not in row:
        return "was not measured, for the test split has no labels"
    if row["non_finite"]:
        return f"cannot be said, for {row['non_finite']} of its outputs are NaN or infinite"
    return "cannot be said, for the test split leaves the score undefined"


def _control(metrics, engine) -> str:
    """What the student's form brought or cost, against as many epochs in float and quantizing afterwards."""
    if "student_vs_control" not in metrics.get("tests", {}):
        return ""
    own, other = (metrics["models"][name][engine]["accuracy"] for name in ("student", "control"))
    test = metrics["tests"]["student_vs_control"][engine]
    p = "< 0.001" if test["p_value"] < 0.001 else f"= {test['p_value']:.3f}"
    facts = (
        f"{percent(own)} against {percent(other)} for as many epochs in float, quantized afterwards "
        f"(McNemar p {p})"
    )
    forms = [_FORMS[name] for name in metrics.get("forms", ["aware"])]
    if forms != [_FORMS["aware"]]:
        costs = "accuracy" if own < other and test["p_value"] < 0.05 else "no accuracy that shows"
        what = " and ".join(filter(None, [", ".join(forms[:-1]), forms[-1]]))
        return f" The student was {what}, which costs {costs}: {facts}."
    if own > other and test["p_value"] < 0.05:
        return f" Quantization-aware training pays: {facts}."
    return f" Quantization-aware training does not pay here: {facts}; quantize.mode int8 does as well."


def _tables(student) -> str:
    """What TFLM's look-up tables would save and cost, where the run tried them."""
    tables = student.get("look_up_tables")
    if not tables:
        return ""
    if not tables["tensors"]:
        return " Look-up tables would make its weights no smaller."
    saved = tables["bytes_before"] - tables["bytes_after"]
    more = tables["arena_after"] - tables["arena_before"]
    return (
        f" With weights in look-up tables (student.look_up.tflite) it takes {saved:,} bytes of flash less "
        f"and {more:,} bytes of arena more under TFLM."
    )


def where_it_fits(memory: dict, boards: int) -> str:
    """On how many boards a model fits, with each engine."""
    shown = [
        f"{'all' if row['boards'] == boards else row['boards']} {'' if row['boards'] == boards else 'of '}"
        f"{boards} boards {_RUNTIMES[engine]}"
        for engine, row in memory.items()
    ]
    return " and ".join(shown)


def _where(metrics) -> str:
    memory = metrics["models"]["student"]["memory"]
    if not memory:
        return "no engine for microcontrollers runs it"
    return f"it fits {where_it_fits(memory, len(metrics['boards']))}"


def _size(metrics) -> str:
    ratio = metrics["models"]["student"]["compression"]
    parts = [
        f"{_part(ratio[key])} of the teacher's {name}"
        for key, name in (("bytes", "bytes"), ("macs", "multiply-accumulates"))
        if ratio[key]
    ]
    return " and ".join(parts).replace(" of the teacher's multiply", " of its multiply")


def _part(ratio: float) -> str:
    if ratio < 1.5:
        return percent(1 / ratio)
    return f"1/{ratio:.0f}" if ratio >= 10 else f"1/{ratio:.1f}".removesuffix(".0")


def _worth(metrics, engine) -> str:
    """What the teacher brought, against the same network trained without one; and what is lost."""
    models = metrics["models"]
    student, baseline = (models[name][engine] for name in ("student", "baseline"))
    teacher = models["teacher"][deployed(models["teacher"])]  # a large one is run on LiteRT alone
    low, high = (100 * bound for bound in student["intervals"]["accuracy"])
    test = metrics["tests"]["student_vs_baseline"][engine]
    lead, gap = (100 * (student["accuracy"] - one["accuracy"]) for one in (baseline, teacher))
    if test["p_value"] >= 0.05:
        found = "Distillation made no proven difference"
        chance = ", which chance could explain" if abs(lead) >= 0.05 else ""
    else:
        found, chance = ("Distillation paid off" if lead > 0 else "Distillation did harm"), ""
    p = "p < 0.001" if test["p_value"] < 0.001 else f"p = {test['p_value']:.2g}"
    return (
        f"{found}: the student gets {percent(student['accuracy'])} of the test samples right on "
        f"{_engine(metrics, engine)} (95 % interval {low:.1f} to {high:.1f} %), {_points(lead)} the "
        f"same network trained without a teacher{chance} (McNemar's test, {p}), and {_points(gap)} "
        "its teacher"
    )


def _points(difference: float) -> str:
    if abs(difference) < 0.05:
        return "as many as"
    return f"{abs(difference):.1f} points {'more' if difference > 0 else 'fewer'} than"


def _plain_worth(metrics, engine) -> str:
    """The same for labels that are no classes: by the interval of the difference on the same samples."""
    found = SCORES[metrics["task"]]
    shown = {
        model: score((row[deployed(row)] or {}).get(found.key), metrics["task"])
        for model, row in metrics["models"].items()
    }
    return (
        f"{_paid(metrics, engine)}: {found.name} of the student "
        f"on {_engine(metrics, engine)} {shown['student']}, against {shown['baseline']} of the same network "
        f"trained without a teacher{_difference(metrics, engine)} and {shown['teacher']} of its teacher"
    )


def _paid(metrics, engine) -> str:
    test = metrics["differences"]["student_vs_baseline"][engine]
    if test is None or test["interval"][0] <= 0 <= test["interval"][1]:
        return "Distillation made no proven difference"
    better = (test["difference"] > 0) == SCORES[metrics["task"]].more_is_better
    return "Distillation paid off" if better else "Distillation did harm"


def _difference(metrics, engine) -> str:
    test = metrics["differences"]["student_vs_baseline"][engine]
    if test is None:
        return ""
    low, high = (score(bound, metrics["task"]) for bound in test["interval"])
    return f" (95 % interval of the difference {low} to {high})"


def _engine(metrics, engine) -> str:
    """An engine with the numbers it computes in, where they are known."""
    numbers = metrics.get("numbers")
    return f"{ENGINES[engine]} in {numbers}" if numbers and engine != "float" else ENGINES[engine]
