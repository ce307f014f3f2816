import pytest

from bothways.config import Augmentation
from bothways.errors import ConfigError


def test_changes_are_the_settings_that_are_not_zero():
    assert Augmentation().active_augmentations == {}
    augmentation = Augmentation(augment_noise=0.1, augment_zoom=0.0, augment_rotation=5)
    assert augmentation.active_augmentations == {"augment_noise": 0.1, "augment_rotation": 5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment_rotation": 181}, "augment_rotation is 181; expected less than or equal to 180"),
        ({"augment_time_mask": 1}, "augment_time_mask is 1; expected less than 1"),
        ({"augment_scale": 200}, "augment_scale is 200; expected less than or equal to 5"),
        ({"augment_noise": 1e38}, "augment_noise is 1e.38; expected less than or equal to 1000"),
        ({"augment_shear": 1e38}, "augment_shear is 1e.38; expected less than or equal to 1000"),
        ({"augment_noise": -0.1}, "augment_noise is -0.1; expected greater than or equal to 0"),
    ],
)
def test_bad_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        Augmentation(**values)
    assert "\n" not in str(error.value)
