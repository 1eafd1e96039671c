"""A loss on the features of the guessed image, besides its pixels."""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from normalgen.features.embedded_cnn import CnnFeatures

__all__ = ["FeatureError"]


class FeatureError:
    """Computes `weight` times the mean over levels and patches of 1 - cosine between features of two images, (N,).

    Squared error alone favours the blurred mean of all pictures that fit. Features favour one that looks like a photo
    (perceptual loss, Johnson et al. 2016; for diffusion Lin and Yang 2024).
    """

    def __init__(self, weight: float, device: str) -> None:
        self.weight = weight
        self.features = CnnFeatures(device)

    def __call__(self, guess: Tensor, clean: Tensor) -> Tensor:
        """Return the error (N,) of `guess` (N, 3, S, S) in [0, 1]; gradients flow to `guess`."""
        pairs = zip(self.features.maps(guess), self.features.maps(clean), strict=True)
        errors = [1 - cosine_similarity(level, target, dim=1).flatten(1).mean(1) for level, target in pairs]
        return self.weight * sum(errors[1:], errors[0]) / len(errors)
