"""What sandboxes cost, against the figures E2B gives."""

import math

import pytest

from scaling.cost import SandboxPrice, cost_usd


@pytest.mark.parametrize(
    ("vcpus", "memory_gib", "hour_usd"),
    [
        pytest.param(8, 4, 0.468, id="E2B's own example"),
        pytest.param(2, 0.5, 0.1089, id="the base template"),
        pytest.param(1, 0.5, 0.0585, id="a small worker"),
        pytest.param(0, 0, 0.0, id="nothing"),
    ],
)
def test_an_hour_costs_what_is_published(vcpus, memory_gib, hour_usd):
    assert cost_usd(3600, vcpus=vcpus, memory_gib=memory_gib) == pytest.approx(hour_usd, abs=1e-9)


def test_the_default_size_is_the_base_template():
    assert cost_usd(3600) == cost_usd(3600, vcpus=2, memory_gib=0.5)


def test_other_prices_can_be_given():
    assert cost_usd(10, vcpus=1, memory_gib=2, price=SandboxPrice(vcpu_second_usd=1.0, gib_second_usd=0.5)) == 20.0


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_seconds_that_cannot_be_are_refused(seconds):
    with pytest.raises(ValueError, match="seconds_total is"):
        cost_usd(seconds)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="vcpus is -1"):
        cost_usd(1.0, vcpus=-1)
