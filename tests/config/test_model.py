import pytest

from bothways import ModelConfig
from bothways.errors import ConfigError

SIZES = {"input_size": 28, "num_classes": 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"readout": "max+flatten"}, r"sequence_length is None but readout is 'max\+flatten'"),
        ({"readout": "flatten"}, "sequence_length is None but readout is 'flatten'"),
        ({"sequence_length": 28}, "sequence_length is 28 but readout is 'final'"),
    ],
)
def test_bad_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        ModelConfig(**SIZES, **values)
    assert "\n" not in str(error.value)
