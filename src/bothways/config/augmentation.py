"""The settings of augmentation: random changes of training sequences."""

from typing import Annotated

from pydantic import Field

from bothways.config.settings import Fraction, Settings

IMAGE_CHANGES = (
    "augment_rotation", "augment_zoom", "augment_shear", "augment_translation", "augment_elastic",
)  # fmt: skip
"""The settings of `Augmentation` that transform sequences as images."""

VALUE_CHANGES = (
    "augment_scale", "augment_noise", "augment_time_mask", "augment_feature_mask",
)  # fmt: skip
"""The settings of `Augmentation` that change values where they are."""


Extent = Annotated[float, Field(ge=0, le=1000)]
Spread = Annotated[float, Field(ge=0, le=5)]
"""Standard deviation of a logarithm. Without these limits, values would overflow."""


class Augmentation(Settings):
    """Random changes of training sequences, drawn anew for each sequence of each batch.

    All are 0, for none, by default. Lengths do not change; see
    `bothways.training.loop.augmentation`.

    Parameters
    ----------
    augment_time_shift : float
        Largest shift in time, as a fraction of the length. The first or last time step is repeated.
    augment_time_warp : float
        Standard deviation of the logarithm of the speed, which varies smoothly within a sequence.
    augment_scale : float
        Standard deviation of the logarithm of a factor, for each feature of a sequence, that
        multiplies the distances from the mean of the feature in the sequence.
    augment_noise : float
        Standard deviation of noise that is added to each value, relative to the standard deviation
        of the feature in the sequence.
    augment_time_mask : float
        Largest length of a masked span of time, as a fraction of the length. Masked values are
        replaced by the mean of the feature in the sequence, categories by the unknown category.
    augment_feature_mask : float
        Probability of masking a feature of a sequence; one feature always remains.
    augment_rotation : float
        For sequences that are images, whose rows are the time steps: largest angle, in degrees.
    augment_zoom : float
        Largest relative change of the height and of the width of an image.
    augment_shear : float
        Largest horizontal shear of an image: the shift of a row, relative to its distance from the
        center.
    augment_translation : float
        Largest shift of an image, in time steps and in features.
    augment_elastic : float
        Standard deviation of smooth random displacements in an image, in time steps and in
        features.

    Examples
    --------
    >>> Augmentation(augment_time_warp=0.1, augment_noise=0.05).active_augmentations
    {'augment_time_warp': 0.1, 'augment_noise': 0.05}
    """

    augment_time_shift: Fraction = 0.0
    augment_time_warp: Spread = 0.0
    augment_scale: Spread = 0.0
    augment_noise: Extent = 0.0
    augment_time_mask: Fraction = 0.0
    augment_feature_mask: Fraction = 0.0
    augment_rotation: float = Field(default=0.0, ge=0, le=180)
    augment_zoom: Fraction = 0.0
    augment_shear: Extent = 0.0
    augment_translation: Extent = 0.0
    augment_elastic: Extent = 0.0

    @property
    def active_augmentations(self) -> dict[str, float]:
        """The settings that are not 0."""
        values = {name: getattr(self, name) for name in Augmentation.model_fields}
        return {name: value for name, value in values.items() if value}

    @property
    def augments_values(self) -> bool:
        """Whether values are scaled, noisy or masked."""
        return bool(self.active_augmentations.keys() & set(VALUE_CHANGES))

    @property
    def image_changes(self) -> dict[str, float]:
        """The settings of `IMAGE_CHANGES` that are not 0."""
        active = self.active_augmentations
        return {name: active[name] for name in IMAGE_CHANGES if name in active}
