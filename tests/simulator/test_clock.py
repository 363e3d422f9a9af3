"""The venue's clock can be skewed, and its stamps translated back."""

from simulator.clock import Clock, VenueClock


def test_time_does_not_step_back() -> None:
    clock = Clock()
    times = [clock.now_ns() for _ in range(1000)]
    assert times == sorted(times)
    assert clock.now_us() >= times[-1] // 1000


def test_stamps_carry_the_skew_and_can_be_translated_back() -> None:
    clock = VenueClock()
    now = clock.now_us()
    assert clock.stamp_us(now) == now
    clock.set_skew(5_000_000)
    assert clock.skew_us == 5_000_000
    later = clock.now_us()
    assert clock.stamp_us(later) == later + 5_000_000
    assert clock.stamp_ms(later) == (later + 5_000_000) // 1000
    assert clock.true_us(clock.stamp_us(later)) == later


def test_a_stamp_of_before_the_skew_began_is_still_understood() -> None:
    clock = VenueClock()
    before = clock.now_us() - 30_000_000
    clock.set_skew(-5_000_000)
    assert clock.true_us(before) == before
