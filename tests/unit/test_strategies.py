"""The contract of a strategy, the two built-in ones on windows worked out by hand, and the catalog."""

import itertools
import math
import subprocess
import sys

import msgspec
import pytest

import strategies
from strategies import FLAT, Bar, Signal, SignalError, Strategy, StrategyError, UnknownStrategyError, run_strategy
from strategies.catalog import BUILT_IN, create
from strategies.mean_reversion import MeanReversion, z_score
from strategies.momentum import Momentum, annual_volatility
from strategies.strategy import snake_case


def bars_of(closes):
    return [Bar(f"{1700 + i}-01-01", close, close, close, close, 0.0) for i, close in enumerate(closes)]


class Fixed(Strategy):
    """Returns or raises what a test gave it."""

    lookback = 3
    answer: object = FLAT

    def signal(self, bars):
        self.seen = bars
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_public_names_are_those_promised_to_users():
    assert sorted(strategies.__all__) == [
        "Bar",
        "FLAT",
        "Signal",
        "SignalError",
        "Strategy",
        "StrategyError",
        "StrategyFileError",
        "UnknownStrategyError",
        "run_strategy",
    ]


def test_importing_every_built_in_strategy_loads_no_heavy_library():
    code = (
        "import sys, strategies.catalog, strategies.file;"
        "print(sorted({'numpy', 'pandas', 'asyncio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("target", "confidence", "reason"),
    [
        pytest.param(1.01, 0.5, "target must be from -1 to 1, got 1.01", id="target above"),
        pytest.param(-2, 0.5, "target must be from -1 to 1, got -2", id="target below"),
        pytest.param(math.nan, 0.5, "target must be from -1 to 1, got nan", id="target nan"),
        pytest.param(-math.inf, 0.5, "target must be from -1 to 1, got -inf", id="target infinite"),
        pytest.param(0.5, -0.1, "confidence must be from 0 to 1, got -0.1", id="confidence below"),
        pytest.param(0.5, math.nan, "confidence must be from 0 to 1, got nan", id="confidence nan"),
        pytest.param("1", 0.5, "target must be a float, got str '1'", id="text"),
        pytest.param(True, 0.5, "target must be a float, got bool True", id="bool"),
        pytest.param(10**400, 0.5, "target must be from -1 to 1", id="huge int"),
    ],
)
def test_signal_refuses_numbers_it_may_not_have(target, confidence, reason):
    with pytest.raises(SignalError, match=reason):
        Signal(target, confidence)


def test_signal_and_bar_survive_the_wire():
    signal, bar = Signal(-0.25, 0.75), Bar("2013-03-01", 1.0, 2.0, 0.5, 1.5, 10.0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(signal), type=Signal) == signal
    assert msgspec.json.decode(msgspec.json.encode(bar), type=Bar) == bar


def test_signal_from_the_wire_is_checked_too():
    with pytest.raises(msgspec.ValidationError, match="target"):
        msgspec.json.decode(b"[2.0, 0.5]", type=Signal)


def test_signal_holds_plain_floats_whatever_it_was_made_of():
    class NumpyLike(float):
        """What numpy.float64 is to the encoder: a float of another type."""

    signal = Signal(NumpyLike(-0.0), 1)
    assert [type(value) for value in (signal.target, signal.confidence)] == [float, float]
    assert str(signal.target) == "0.0"


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("MeanReversion", "mean_reversion"), ("RSIBands", "rsi_bands"), ("Mine", "mine"), ("Top20Only", "top20_only")],
)
def test_name_of_a_class_in_snake_case(class_name, name):
    assert snake_case(class_name) == name


def test_strategy_shows_the_last_bars_it_asked_for():
    strategy = Fixed()
    bars = bars_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert run_strategy(strategy, bars) is FLAT
    assert strategy.seen == bars[-3:]
    assert strategy.name == "fixed"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(None, r"Fixed\.signal must return a Signal, returned NoneType None", id="forgot to return"),
        pytest.param((1.0, 0.5), r"Fixed\.signal must return a Signal, returned tuple \(1\.0, 0\.5\)", id="tuple"),
        pytest.param("x" * 99, r"returned str 'x+\.\.\.", id="long answers are cut"),
        pytest.param(
            ZeroDivisionError("by zero"), r"Fixed\.signal raised ZeroDivisionError: by zero \(.*\.py:\d+\)", id="raised"
        ),
    ],
)
def test_what_user_code_returned_is_checked(answer, reason):
    strategy = Fixed()
    strategy.answer = answer
    with pytest.raises(StrategyError, match=reason):
        run_strategy(strategy, bars_of([1.0]))


def test_catalog_creates_each_strategy_by_its_name():
    assert list(BUILT_IN) == ["mean_reversion", "momentum"]
    assert [type(create(name)) for name in BUILT_IN] == [MeanReversion, Momentum]


def test_unknown_strategy_is_told_what_there_is():
    with pytest.raises(
        UnknownStrategyError, match=r"'momentun'; choose mean_reversion, momentum, or a path to a \.py file"
    ):
        create("momentun")


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_strategy_is_flat_until_it_has_its_lookback(name):
    strategy = create(name)
    rising = bars_of([100.0 * 1.01**i for i in range(strategy.lookback)])
    assert strategy.signal(rising[1:]) == FLAT
    assert strategy.signal(rising) != FLAT


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_strategy_is_flat_on_a_price_that_stands_still(name):
    strategy = create(name)
    assert strategy.signal(bars_of([12.34] * strategy.lookback)) == FLAT


def alternating(up, down):
    """253 closes whose log returns alternate, beginning with `up`."""
    return list(itertools.accumulate([up, down] * 126, lambda price, change: price * math.exp(change), initial=100.0))


def test_momentum_volatility_is_that_of_the_paper():
    # Returns +-1 % in turn: with weights w the variance is 252 * 0.01^2 * (1 - m^2), m = sum(w_i * sign_i).
    decay = 60 / 61
    weights = [decay**age for age in range(252)]
    mean_sign = sum(w * (-1) ** (age + 1) for age, w in enumerate(weights)) / sum(weights)
    expected = 0.01 * math.sqrt(252 * (1 - mean_sign**2))
    assert annual_volatility(alternating(0.01, -0.01)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("up", "down", "target", "t_statistic"),
    [
        # Daily volatility of about (up - down) / 2, annual of that times sqrt(252); R = 126 * (up + down).
        pytest.param(0.0101, -0.0099, 1.0, 0.1588, id="calm and rising is held in full"),
        pytest.param(0.0399, -0.0401, -0.6300, 0.0397, id="wild and falling is shorted in part"),
    ],
)
def test_momentum_follows_the_year_and_is_sized_to_40_percent_volatility(up, down, target, t_statistic):
    signal = Momentum().signal(bars_of(alternating(up, down)))
    assert signal.target == pytest.approx(target, rel=1e-3)
    assert signal.confidence == pytest.approx(math.erf(t_statistic / math.sqrt(2)), rel=1e-2)


def test_momentum_on_a_year_of_equal_returns_takes_the_limit():
    doubling = [2.0**i for i in range(253)]  # exact in binary, so the returns vary only by rounding of the logs
    assert Momentum().signal(bars_of(doubling)) == Signal(1.0, 1.0)
    assert Momentum().signal(bars_of(doubling[::-1])) == Signal(-1.0, 1.0)


@pytest.mark.parametrize(
    ("last", "target"),
    [
        # Nineteen closes of alternately 99 and 101 (ten of 99), then `last`.
        pytest.param(100.5, 0.0, id="within one deviation"),
        pytest.param(103.0, -1.0, id="far above is sold in full"),
        pytest.param(97.0, 1.0, id="far below is bought in full"),
    ],
)
def test_mean_reversion_trades_against_the_move(last, target):
    signal = MeanReversion().signal(bars_of([99.0, 101.0] * 9 + [99.0, last]))
    assert signal.target == target
    assert (signal.confidence > 0.8) is (target != 0.0)


def test_mean_reversion_between_the_bands_takes_a_part():
    closes = [99.0, 101.0] * 9 + [100.0, 101.7]
    mean = sum(closes) / 20
    z = (101.7 - mean) / math.sqrt(sum((close - mean) ** 2 for close in closes) / 20)
    inside = math.erf(1 / math.sqrt(2))
    signal = MeanReversion().signal(bars_of(closes))
    assert 1 < z < 2
    assert z_score(closes) == pytest.approx(z, rel=1e-12)
    assert signal.target == pytest.approx(-(z - 1), rel=1e-12)
    assert signal.confidence == pytest.approx((math.erf(z / math.sqrt(2)) - inside) / (1 - inside), rel=1e-12)
