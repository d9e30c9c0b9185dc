"""Metrics: numbers that judge predictions, gathered over batches."""

from twinflow.metrics._classification import AUROC as AUROC
from twinflow.metrics._classification import Accuracy as Accuracy
from twinflow.metrics._classification import ConfusionMatrix as ConfusionMatrix
from twinflow.metrics._classification import F1Score as F1Score
from twinflow.metrics._classification import IoU as IoU
from twinflow.metrics._classification import Precision as Precision
from twinflow.metrics._classification import Recall as Recall
from twinflow.metrics._metric import Metric as Metric
from twinflow.metrics._regression import MAE as MAE
from twinflow.metrics._regression import MSE as MSE
from twinflow.metrics._regression import R2 as R2
from twinflow.metrics._regression import Perplexity as Perplexity
from twinflow.metrics._text import BLEU as BLEU
from twinflow.metrics._text import WER as WER
