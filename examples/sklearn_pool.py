"""Any scikit-learn estimator on image features, with a pool: python examples/sklearn_pool.py good pools/good mixed

Prints the photos of the last folder, the most unusual first. The nearest neighbours' distance is the score; a one-class
SVM or an isolation forest goes in the same place.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from normalgen.errors import NormalgenError
from normalgen.features.open_features import open_features
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool


def vectors(images: Images, features: str) -> NDArray[np.float32]:
    """Return one vector per image (N, D), of unit length."""
    network = open_features(features)
    parts = [network.image(batch).numpy() for batch in images.batches(network.size)]
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=Path, help="folder of good photos")
    parser.add_argument("pool", type=Path, help="a pool made from them")
    parser.add_argument("queries", type=Path, help="folder of photos to judge")
    parser.add_argument("--features", default="vit")
    asked = parser.parse_args()
    good, pool = Images.from_folder(asked.references), Pool.load(asked.pool).images
    normal = np.concatenate([vectors(images, asked.features) for images in (good, pool)])
    estimator = NearestNeighbors(n_neighbors=1).fit(normal)
    queries = Images.from_folder(asked.queries)
    distances = estimator.kneighbors(vectors(queries, asked.features))[0][:, 0]
    for score, name in sorted(zip(distances.tolist(), queries.names, strict=True), reverse=True):
        print(f"{score:.4f}  {name}")


if __name__ == "__main__":
    try:
        main()
    except NormalgenError as error:
        sys.exit(str(error))
