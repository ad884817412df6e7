"""Whether teacher and student can be compared at all."""


def check_models(teacher, student, *, same_inputs: bool, same_outputs: bool) -> None:
    """Compares the models' shapes where both know theirs (subclassed models do not).

    Args:
        teacher: The teacher, or the record of one.
        student: The student.
        same_inputs: Whether both receive the same batch.
        same_outputs: Whether their outputs are compared.

    Raises:
        ValueError: If shapes differ that must agree.
    """
    if same_inputs:
        _check_same(
            getattr(teacher, "inputs", None),
            getattr(student, "inputs", None),
            "inputs",
            "Give teacher_preprocess=, for example keras.layers.Resizing(height, width), which turns "
            "the student's batch into the teacher's",
        )
    if same_outputs:
        _check_same(
            getattr(teacher, "outputs", None),
            getattr(student, "outputs", None),
            "outputs",
            "Losses on outputs compare class by class; give both models the same classes, or use taps only",
        )


def _check_same(teacher_tensors, student_tensors, what, fix):
    """Compares shapes where both models know theirs (subclassed models do not)."""
    if not teacher_tensors or not student_tensors:
        return
    shapes = [tuple(t.shape) for t in teacher_tensors], [tuple(t.shape) for t in student_tensors]
    if len(shapes[0]) == len(shapes[1]) and all(
        len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))
        for a, b in zip(*shapes, strict=True)
    ):
        return
    raise ValueError(
        f"Teacher and student differ in their {what}: teacher {shapes[0]}, student {shapes[1]}. {fix}."
    )
