"""Data sets by Keras's names: `keras.datasets`."""

from twinflow.keras.datasets import fashion_mnist as fashion_mnist
from twinflow.keras.datasets import mnist as mnist
