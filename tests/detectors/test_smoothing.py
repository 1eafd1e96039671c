import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

from normalgen.detectors.smoothing import smoothed


@pytest.mark.parametrize(("cells", "size", "sigma"), [(7, 28, 0.0), (7, 28, 1.5), (16, 50, 4.0), (5, 8, 4.0)])
def test_maps_are_enlarged_and_blurred_as_by_the_published_code(cells: int, size: int, sigma: float) -> None:
    maps = torch.rand(3, cells, cells, generator=torch.Generator().manual_seed(0))
    large = interpolate(maps[:, None], (size, size), mode="bilinear")[:, 0].numpy()
    expected = torch.stack([torch.from_numpy(gaussian_filter(part, sigma)) for part in large])
    assert torch.allclose(smoothed(maps, size, sigma), expected, atol=1e-5)


def test_a_constant_map_stays_constant() -> None:
    assert torch.allclose(smoothed(torch.full((1, 6, 4), 2.5), 33, 4.0), torch.full((1, 33, 33), 2.5))
