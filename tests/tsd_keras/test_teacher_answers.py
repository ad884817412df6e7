"""What a run keeps of its teacher's answers."""

import pytest
from small_models import dense_model, image_model

from tflite.errors import UserError
from tsd_keras import config
from tsd_keras.teacher_answers import TeacherAnswers, plan


def decided(samples=1132, epochs=60, are_random=True, logits=40, features=0, **section):
    return plan(config.TeacherCache(**section), epochs, are_random, samples, logits, features)


def test_the_default_is_decided_by_size_and_stated():
    kept = decided()
    assert kept.views == 8 and kept.nbytes == 8 * 1132 * 40
    assert kept.statement == "the teacher's answers to 8 views of 1,132 samples are kept: 0.4 MB"
    assert decided(are_random=False).statement == ("the teacher's answers to 1,132 samples are kept: 0.0 MB")
    assert decided(epochs=3).views == 3
    fewer = decided(samples=50_000, features=16_000)  # 8 views would take 6.4 GB
    assert fewer.views == 5 and fewer.nbytes < 4 * 2**30
    large = decided(samples=500_000, features=24_576)
    assert large.views == 0 and large.statement == (
        "the teacher stays live: 8 views of its answers would take 98.5 GB"
    )


def test_what_is_asked_for_is_done():
    assert decided(views=0).views == 0
    assert decided(views=2, samples=500_000, features=24_576).views == 2
    assert decided(views=5, are_random=False).views == 1
    assert decided(features=24_576, **{}).views == 8
    live = plan(config.TeacherCache(features=False), 60, True, 100, 40, 1000)
    assert live.views == 0 and "taps need its features" in live.statement
    with pytest.raises(UserError, match="teacher_cache.views is 8.*features: auto"):
        plan(config.TeacherCache(views=8, features=False), 60, True, 100, 40, 1000)
    assert plan(config.TeacherCache(views=8, features=False), 60, True, 100, 40, 0).views == 8


def test_taps_on_weights_keep_the_teacher_live_on_the_views_asked_for():
    taps = [{"teacher": "a", "student": "b", "match": "weights"}]
    for views, expected in (("auto", 0), (8, 8)):
        settings = config.Config(distillation={"taps": taps}, teacher_cache={"views": views})
        answers = TeacherAnswers(settings, None, None, lambda: "the model", None)
        assert answers.plan.views == expected and answers.caches() is None
        assert answers.teacher() == "the model"


def test_taps_find_themselves_where_both_models_have_stages(capsys):
    def taps(student=None, **settings):
        answers = TeacherAnswers(
            config.Config(**settings),
            None,
            None,
            lambda: image_model("teacher", 4),
            lambda: student or image_model("student", 2),
        )
        return [(tap.teacher, tap.student) for tap in answers.config.distillation.taps]

    assert taps() == [(path, path) for path in ("stage1_out", "backbone/stage2_out")]
    assert taps(dense_model("student", 4)) == []
    assert "no taps: The teacher 'teacher' computes activations of rank {4}" in capsys.readouterr().out
    assert taps(teacher_cache={"views": 8, "features": False}) == []
    with pytest.raises(UserError, match="distillation.taps: .*no stages to pair"):
        taps(dense_model("student", 4), distillation={"taps": [{"loss": "l2"}]})
