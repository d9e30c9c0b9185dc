"""Models that train, evaluate and predict from input functions: `tf.estimator`."""

from twinflow.tf.estimator._canned import DNNClassifier as DNNClassifier
from twinflow.tf.estimator._canned import DNNRegressor as DNNRegressor
from twinflow.tf.estimator._canned import LinearClassifier as LinearClassifier
from twinflow.tf.estimator._canned import LinearRegressor as LinearRegressor
from twinflow.tf.estimator._estimator import Estimator as Estimator
from twinflow.tf.estimator._estimator import EstimatorSpec as EstimatorSpec
from twinflow.tf.estimator._estimator import EvalSpec as EvalSpec
from twinflow.tf.estimator._estimator import ModeKeys as ModeKeys
from twinflow.tf.estimator._estimator import RunConfig as RunConfig
from twinflow.tf.estimator._estimator import TrainSpec as TrainSpec
from twinflow.tf.estimator._estimator import train_and_evaluate as train_and_evaluate
