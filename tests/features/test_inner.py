import torch

from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.inner import InnerFeatures
from normalgen.features.open_features import opened
from normalgen.features.weights import resized


def test_the_network_sees_the_middle_of_a_resized_image_at_its_own_size() -> None:
    network = CnnFeatures(size=64)
    inner, images = InnerFeatures(network, 8), torch.rand(2, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    middle = resized(images, 80)[:, :, 8:72, 8:72]
    pairs = zip(inner.tokens(images), network.tokens(middle), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert torch.equal(inner.image(images), network.image(middle))
    assert (inner.size, inner.shares, inner.text) == (80, network.shares, None)
    assert opened(inner) != opened(network)
