"""Train anomalib's PaDiM on photos of good parts and their pool, and judge other photos.

    pip install 'normalgen[interop]'
    python examples/anomalib_pool.py good pools/good mixed
    python examples/anomalib_pool.py good pools/good mixed --weights resnet18.safetensors    # without a connection

Each line is a score and a photo, most anomalous first. Any model of anomalib that learns from normal images takes the
place of `Padim`.
"""

import argparse
from pathlib import Path

from anomalib.data import Folder, PredictDataset
from anomalib.engine import Engine
from anomalib.models import Padim
from safetensors.torch import load_file


def main() -> None:
    parser = argparse.ArgumentParser(description="anomalib's PaDiM on photos and a pool")
    for name in ("good", "pool", "photos"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--weights", type=Path, help="safetensors file of timm's resnet18; default: from the hub")
    chosen = parser.parse_args()
    data = Folder(
        name="parts",
        normal_dir=[chosen.good.resolve(), chosen.pool.resolve()],
        test_split_mode="none",
        val_split_mode="none",
        num_workers=0,
    )
    model = Padim(pre_trained=chosen.weights is None, post_processor=False, evaluator=False, visualizer=False)
    if chosen.weights:
        model.model.feature_extractor.feature_extractor.load_state_dict(load_file(chosen.weights), strict=False)
    engine = Engine(accelerator="cpu", enable_progress_bar=False, limit_val_batches=0)
    engine.fit(model, datamodule=data)
    print(f"learned from {len(data.train_data)} images")
    batches = engine.predict(model, dataset=PredictDataset(chosen.photos)) or []
    scores = [
        pair for part in batches for pair in zip(part.pred_score.flatten().tolist(), part.image_path, strict=True)
    ]
    for score, path in sorted(scores, reverse=True):
        print(f"{score:.3f} {path}")


if __name__ == "__main__":
    main()
