"""How much the random tests draw: the profiles of Hypothesis, and what is derived from the one in use."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SUITE, FEW, SOAK = "suite", "few", "soak"
_CALLS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def register() -> None:
    """Registers the profiles; the suite's is used unless the command line names another.

    The suite draws the same tables every time, a hundred of them, and FEW less; a long run draws many, from its seed.
    """
    settings.register_profile(
        SUITE, max_examples=100, derandomize=True, deadline=None, database=None, print_blob=True,
        suppress_health_check=_CALLS,
    )  # fmt: skip
    settings.register_profile(FEW, settings.get_profile(SUITE), max_examples=30)
    settings.register_profile(SOAK, settings.get_profile(SUITE), max_examples=1_000, derandomize=False)
    if settings.get_current_profile_name() not in {SUITE, FEW, SOAK}:
        settings.load_profile(SUITE)


def drawing(share: float = 1.0) -> settings:
    """Returns the settings of a test that draws a share of the profile's tables."""
    return settings(max_examples=max(1, int(settings.default.max_examples * share)))


def most(suite: int, soak: int) -> int:
    """Returns how many of what is compiled a test may use: few in the suite, as each takes a second."""
    return soak if settings.get_current_profile_name() == SOAK else suite
