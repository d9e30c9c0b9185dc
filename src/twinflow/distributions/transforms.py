"""Invertible functions of random values: what `TransformedDistribution` applies."""

from twinflow.distributions._transforms import AffineTransform as AffineTransform
from twinflow.distributions._transforms import ComposeTransform as ComposeTransform
from twinflow.distributions._transforms import ExpTransform as ExpTransform
from twinflow.distributions._transforms import PowerTransform as PowerTransform
from twinflow.distributions._transforms import SigmoidTransform as SigmoidTransform
from twinflow.distributions._transforms import SoftplusTransform as SoftplusTransform
from twinflow.distributions._transforms import TanhTransform as TanhTransform
from twinflow.distributions._transforms import Transform as Transform
