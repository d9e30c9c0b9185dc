"""Data sets, samplers and the loader that turns them into batches."""

from twinflow.data._collate import default_collate as default_collate
from twinflow.data._collate import default_convert as default_convert
from twinflow.data._datasets import ChainDataset as ChainDataset
from twinflow.data._datasets import ConcatDataset as ConcatDataset
from twinflow.data._datasets import Dataset as Dataset
from twinflow.data._datasets import IterableDataset as IterableDataset
from twinflow.data._datasets import StackDataset as StackDataset
from twinflow.data._datasets import Subset as Subset
from twinflow.data._datasets import TensorDataset as TensorDataset
from twinflow.data._datasets import random_split as random_split
from twinflow.data._loader import DataLoader as DataLoader
from twinflow.data._samplers import BatchSampler as BatchSampler
from twinflow.data._samplers import RandomSampler as RandomSampler
from twinflow.data._samplers import Sampler as Sampler
from twinflow.data._samplers import SequentialSampler as SequentialSampler
from twinflow.data._samplers import SubsetRandomSampler as SubsetRandomSampler
from twinflow.data._samplers import WeightedRandomSampler as WeightedRandomSampler
from twinflow.data._worker_info import WorkerInfo as WorkerInfo
from twinflow.data._worker_info import fetch_random as fetch_random
from twinflow.data._worker_info import get_worker_info as get_worker_info
