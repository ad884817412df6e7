"""Is the student worth it, what does it cost, where does it run: in one sentence."""

from tsd_keras.evaluation.summary import deployed

ENGINES = {"float": "Keras float", "litert": "LiteRT int8", "tflm": "TFLM int8", "c": "generated C, int8"}


def percent(value: float | None) -> str:
    """A share in per cent, with one digit behind the point."""
    return "–" if value is None else f"{100 * value:.1f} %"


def sentence(metrics: dict) -> str:
    """The verdict on a run, from the contents of its `metrics.json`."""
    student, teacher = metrics["models"]["student"], metrics["models"]["teacher"]
    size = (
        f"the teacher's {teacher['bytes']:,} bytes come down to {student['bytes']:,} and its MACs to "
        f"1/{max(1, round(student['compression']['macs'] or 1))}"
    )
    boards = metrics["boards"]
    fitting = [board for board in boards if board["fits"]]
    where = f"it fits {len(fitting)} of {len(boards)} boards" if boards else "TFLM does not run it"
    engine = deployed(student)
    if metrics["task"] != "class" or "accuracy" not in (student[engine] or {}):
        return f"{size[0].upper()}{size[1:]}; {where}."
    row, other = student[engine], teacher[engine]
    low, high = row["intervals"]["accuracy"]
    gap = 100 * (other["accuracy"] - row["accuracy"])
    against = f"{abs(gap):.1f} points {'below' if gap >= 0 else 'above'} the teacher"
    return (
        f"The distilled student answers {percent(row['accuracy'])} of the test samples rightly on "
        f"{ENGINES[engine]} (95 % interval {100 * low:.1f} to {100 * high:.1f}), {against}; "
        f"{_gain(metrics, engine)}; {size}; {where}.{_control(metrics, engine)}"
    )


def _control(metrics, engine) -> str:
    """What quantization-aware training brought, against as many epochs in float and quantizing afterwards."""
    if "control" not in metrics["models"]:
        return ""
    own, other = (metrics["models"][name][engine]["accuracy"] for name in ("student", "control"))
    test = metrics["tests"]["student_vs_control"][engine]
    p = "< 0.001" if test["p_value"] < 0.001 else f"= {test['p_value']:.3f}"
    facts = (
        f"{percent(own)} against {percent(other)} for as many epochs in float, quantized afterwards "
        f"(McNemar p {p})"
    )
    if own > other and test["p_value"] < 0.05:
        return f" Quantization-aware training pays: {facts}."
    return f" Quantization-aware training does not pay here: {facts}; quantize.mode int8 does as well."


def _gain(metrics, engine) -> str:
    """What the teacher brought, against the same network trained without one."""
    test = metrics["tests"]["student_vs_baseline"][engine]
    models = metrics["models"]
    lead = 100 * (models["student"][engine]["accuracy"] - models["baseline"][engine]["accuracy"])
    p = "< 0.001" if test["p_value"] < 0.001 else f"= {test['p_value']:.3f}"
    if test["p_value"] >= 0.05:
        side = "over" if lead >= 0 else "under"
        return (
            f"its {abs(lead):.1f} points {side} the same network trained without a teacher are within "
            f"chance (McNemar p {p})"
        )
    verb = "gained" if lead >= 0 else "lost"
    return f"distillation {verb} {abs(lead):.1f} points over training without a teacher (McNemar p {p})"
