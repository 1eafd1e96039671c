"""How well scores tell anomalous images from normal ones; label 1 is anomalous."""

from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

__all__ = ["auroc", "average_precision"]


def auroc(labels: Tensor, scores: Tensor) -> float:
    """Area under the ROC curve, in [0, 1], of image scores (N,) with labels (N,)."""
    return float(roc_auc_score(labels.numpy(), scores.numpy()))


def average_precision(labels: Tensor, scores: Tensor) -> float:
    """Average precision (step sum), in [0, 1], of image scores (N,) with labels (N,)."""
    return float(average_precision_score(labels.numpy(), scores.numpy()))
