"""How tests draw random models: as many as asked for, the same ones while they are few."""

import pytest
from hypothesis import HealthCheck, Phase, settings


def drawn(examples: int, shrink: bool = False) -> settings:
    """Settings of a Hypothesis test.

    Args:
        examples: How many models; below 100 they are the same in every run.
        shrink: Look for a smaller model that fails as well. Not where one takes seconds.
    """
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 100,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """Thousands of models of one use must not push a user's own out of the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
