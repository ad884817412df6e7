"""Which of the teacher's answers a run's student learned from, in one sentence."""

from tflite.errors import UserError
from tsd_keras.evaluation import integrity


def sentence(run, sha256: dict[str, str]) -> str:
    """How the student heard its teacher.

    Args:
        run: A `tsd_keras.pipeline.Pipeline`.
        sha256: Checksums of the models as they are now.
    """
    views, nbytes = _used(run, sha256)
    is_random = run.config.training.augmentation.is_random
    if nbytes:
        return f"The student learned from the teacher's recorded answers to {_recorded(views, is_random)}."
    dtype = run.config.teacher_cache.live_dtype
    answered = f" and answered in {dtype}" if dtype else ""
    return f"The teacher stayed live{answered}: {_live(views, is_random)}."


def _used(run, sha256) -> tuple[int, int]:
    """Views and bytes of the record.

    A finished run's manifest knows them: another version might plan otherwise. It counts for the student it
    was written with alone, not for one trained since in the same folder.
    """
    try:
        manifest = integrity.manifest(run.workdir)
    except UserError:  # a run's first report is written before its manifest
        manifest = {"sha256": {}}
    answers, student = manifest.get("teacher_answers"), sha256.get("student.keras")
    if answers and student and manifest["sha256"].get("student.keras") == student:
        return answers["views"], answers["bytes"]
    return run.answers.plan.views, run.answers.plan.nbytes


def _recorded(views, is_random) -> str:
    if not is_random:
        return "every sample as it is"
    return f"{views} views of every sample, which took turns" if views > 1 else "one view of every sample"


def _live(views, is_random) -> str:
    """What it was shown; views may take turns before a live teacher, too."""
    if not is_random:
        return "it was shown every sample as it is"
    if views > 1:
        return f"{views} views of every sample took turns"
    return "it was shown one view of every sample" if views else "every epoch had new views of its own"
