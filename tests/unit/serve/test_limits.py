"""Limits of keys; time is the test's."""

import pytest

from glider.core.errors import SetupError
from glider.serve.limits import KeyLimit, Limiter, OverLimit, check_limits


class Time:
    now = 100.0

    def __call__(self):
        return self.now


def used(limiter, owner, limits, n):
    """How many of n requests one after another pass, each ended before the next."""
    passed = 0
    for _ in range(n):
        try:
            limiter.enter(owner, limits)
        except OverLimit:
            continue
        limiter.leave(owner)
        passed += 1
    return passed


def test_a_key_has_its_minute_and_as_much_again_as_time_passes():
    time = Time()
    limiter = Limiter(time)
    limits = {"default": KeyLimit(per_minute=30), "a": KeyLimit(per_minute=60)}
    assert [used(limiter, owner, limits, 100) for owner in ("a", "b", None)] == [60, 30, 30]
    time.now += 10
    assert [used(limiter, owner, limits, 100) for owner in ("a", "b")] == [10, 5]
    time.now += 3600
    assert used(limiter, "a", limits, 100) == 60


def test_only_so_many_at_once():
    limiter, limits = Limiter(), {"a": KeyLimit(at_once=2)}
    limiter.enter("a", limits)
    limiter.enter("a", limits)
    with pytest.raises(OverLimit, match="2 requests at once"):
        limiter.enter("a", limits)
    limiter.enter("b", limits)
    limiter.leave("a")
    limiter.enter("a", limits)


def test_texts_are_counted_all_or_none():
    time = Time()
    limiter, limits = Limiter(time), {"default": KeyLimit(texts_per_minute=10)}
    limiter.take_texts("a", limits, 8)
    with pytest.raises(OverLimit, match="10 texts a minute judged, and this request has 3") as over:
        limiter.take_texts("a", limits, 3)
    assert over.value.retry_after_s == 6
    limiter.take_texts("a", limits, 2)
    limiter.take_texts("b", limits, 10)
    time.now += 6
    limiter.take_texts("a", limits, 1)
    time.now += 3600
    with pytest.raises(OverLimit):
        limiter.take_texts("a", limits, 11)  # it never has so many
    limiter.take_texts("a", limits, 10)
    assert used(limiter, "a", limits, 100) == 100  # requests have no limit


def test_a_limit_of_nobody_is_refused():
    check_limits({"default": KeyLimit(), "a": KeyLimit()}, ("a",))
    with pytest.raises(SetupError, match="no key is called 'b'"):
        check_limits({"b": KeyLimit()}, ("a",))
