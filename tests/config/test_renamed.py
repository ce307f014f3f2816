import pytest

from bothways import ModelConfig
from bothways.config import Architecture, with_current_names
from bothways.errors import ConfigError

NEW = {"model": {"cell": "gru", "normalization": "robust"}, "threads": 2}


@pytest.mark.parametrize(("old", "normalization"), [(True, "dataset"), (False, "none")])
def test_standardize_becomes_normalization(old, normalization):
    content = {"model": {"cell": "gru", "standardize": old}, "threads": 2}
    expected = {"model": {"cell": "gru", "normalization": normalization}, "threads": 2}
    assert with_current_names(content) == expected
    assert content["model"] == {"cell": "gru", "standardize": old}


@pytest.mark.parametrize(
    "content",
    [
        NEW,
        {"model": {"standardize": "yes"}},
        {"model": {"standardize": True, "normalization": "robust"}},
        {"model": {}},
        {"model": [1]},
        {},
        [1],
        None,
    ],
)
def test_other_content_does_not_change(content):
    assert with_current_names(content) == content


@pytest.mark.parametrize("value", [True, False, "yes"])
def test_old_names_are_read_from_files_only(value):
    message = "setting 'standardize' is unknown; expected one of cell"
    with pytest.raises(ConfigError, match=message) as error:
        Architecture(standardize=value)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="setting 'standardize' is unknown"):
        ModelConfig(input_size=28, num_classes=10, standardize=value)
