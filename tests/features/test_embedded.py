import pytest
import torch

from normalgen.features.embedded import EmbeddedFeatures
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.embedded_vit import VitFeatures
from normalgen.features.open_features import EMBEDDED, open_features, opened


@pytest.mark.usefixtures("real_features")
def test_the_default_features_are_the_transformers_level_and_two_of_the_cnn() -> None:
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    features = open_features("embedded")
    assert isinstance(features, EmbeddedFeatures)
    assert (features.size, features.text, round(sum(features.shares), 9)) == (224, None, 1)
    assert features.name.startswith("vit:4,5,6,7,8@198644e3+cnn:1,2,3@")
    vit, cnn = VitFeatures(), CnnFeatures()
    assert f"{vit.name.partition('@')[0]} at {vit.size} px, cnn:1,2 at {cnn.size} px" == EMBEDDED
    assert opened(vit) == "vit:4,5,6,7,8@198644e3 at 224 px"
    expected = [*vit.tokens(images), *cnn.tokens(images)[1:]]
    assert all(torch.equal(one, other) for one, other in zip(features.tokens(images), expected, strict=True))
    assert torch.equal(features.image(images), vit.image(images))


@pytest.mark.usefixtures("real_features")
def test_any_larger_size_is_accepted() -> None:
    assert open_features("embedded", size=512).size == 504
