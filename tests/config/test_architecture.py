import pytest

from bothways.config import Architecture
from bothways.errors import ConfigError


def test_the_default_readout_suits_a_bidirectional_network():
    config = Architecture()
    assert (config.bidirectional, config.readout) == (True, "final")


@pytest.mark.parametrize(
    "settings",
    [
        {"normalization": "robust", "bidirectional": False, "readout": "step"},
        {"normalization": "sequence", "readout": "step"},
        {"normalization": "both", "bidirectional": False},
    ],
)
def test_normalizations_of_steps(settings):
    assert Architecture(**settings).normalization == settings["normalization"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": -3}, r"hidden_size is -3; expected greater than or equal to 1\. Correct"),
        ({"hidden_size": 2.5}, "hidden_size is 2.5; expected a valid integer"),
        ({"cell": "tcn"}, "cell is 'tcn'; expected 'rnn', 'gru' or 'lstm'"),
        ({"readout": "first"}, "readout 'first' is unknown; expected one of last, final, flatten"),
        ({"readout": "final+men"}, "readout 'men' is unknown; did you mean 'mean'"),
        ({"readout": "max+final+max"}, r"readout is 'max\+final\+max'; .* Use max\+final\."),
        (
            {"readout": "final+step"},
            r"readout is 'final\+step', but step returns features for each",
        ),
        ({"dropout": 1.0}, "dropout is 1.0; expected less than 1"),
        ({"dropout": float("nan")}, "dropout is nan; expected a finite number"),
        ({"hiden_size": 3}, "setting 'hiden_size' is unknown; did you mean 'hidden_size'"),
        ({"cell": "gru", "nonlinearity": "relu"}, "nonlinearity is 'relu' but cell is 'gru'"),
        ({"members": 0}, "members is 0; expected greater than or equal to 1"),
        ({"members": 101}, "members is 101; expected less than or equal to 100"),
        ({"normalization": "z"}, "normalization is 'z'; expected 'none', 'dataset', 'robust'"),
        (
            {"normalization": "both", "readout": "step", "bidirectional": False},
            "normalization is 'both', which reads a whole sequence, but readout is 'step' and "
            "bidirectional is false; .* Set normalization=robust, or bidirectional=true",
        ),
    ],
)
def test_bad_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        Architecture(**values)
    assert "\n" not in str(error.value)
