"""Columns of features: how the arrays of a data set become the numbers that a model reads. `tf.feature_column`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, DataError
from twinflow.tf.compat import v1

Array = np.ndarray[Any, Any]


class Column:
    """Base: `prepare` turns the feature's array into numbers before it is fed, `dense` those into columns of a matrix."""

    key: str

    def prepare(self, features: dict[str, Array]) -> Array:
        """The numbers that are fed, with the examples along the first axis."""
        if self.key not in features:
            raise DataError(
                f"feature_column: the features have no {self.key!r}; they have {', '.join(map(repr, features))}"
            )
        return np.asarray(features[self.key])

    def dense(self, x: Any) -> Any:
        """A matrix [N, width] of the graph."""
        raise ArgumentError(
            f"feature_column: {type(self).__name__} {self.key!r} is categorical; wrap it in indicator_column or embedding_column for a "
            "network of dense layers"
        )

    width = 1
    dtype: Any = "float32"
    feed_shape: tuple[int, ...] = ()

    def feed_name(self) -> str:
        """The name of its placeholder."""
        return "".join(c if c.isalnum() else "_" for c in self.key)


class _Numeric(Column):
    def __init__(self, key: str, shape: Any, default: Any, dtype: Any, normalizer: Any) -> None:
        self.key = key
        self.feed_shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.width, self._default, self._normalizer = math.prod(self.feed_shape), default, normalizer
        self.dtype = as_dtype(dtype)

    def prepare(self, features: dict[str, Array]) -> Array:
        """The numbers, normalised."""
        x = super().prepare(features).astype(self.dtype.np)
        if self._default is not None:
            x = np.where(np.isnan(x), self._default, x)
        x = x.reshape(len(x), *self.feed_shape)
        return np.asarray(self._normalizer(x), self.dtype.np) if self._normalizer is not None else x

    def dense(self, x: Any) -> Any:
        """The numbers in a row."""
        return v1.cast(v1.reshape(x, [-1, self.width]), v1.float32)


def numeric_column(
    key: str,
    shape: Any = (1,),
    default_value: Any = None,
    dtype: Any = "float32",
    normalizer_fn: Callable[..., Any] | None = None,
) -> Column:
    """Numbers as they are, or as `normalizer_fn` (of arrays) makes them."""
    return _Numeric(key, shape, default_value, dtype, normalizer_fn)


class _Categorical(Column):
    """A class number for each example."""

    dtype: Any = "int64"

    def __init__(self, key: str, n: int) -> None:
        self.key, self.n = key, n

    def linear(self, x: Any, units: int, name: str) -> Any:
        """The row of weights of each example's class."""
        weights = v1.get_variable(f"{name}/weights", [self.n, units], initializer=v1.zeros_initializer())
        return v1.nn.embedding_lookup(weights, v1.reshape(x, [-1]))


class _Identity(_Categorical):
    def __init__(self, key: str, n: int, default: int | None) -> None:
        super().__init__(key, n)
        self._default = default

    def prepare(self, features: dict[str, Array]) -> Array:
        """The class numbers. Raises: DataError for one outside the range, unless there is a default."""
        x = super().prepare(features).astype(np.int64).reshape(-1)
        bad = (x < 0) | (x >= self.n)
        if bad.any():
            if self._default is None:
                raise DataError(
                    f"feature_column: {self.key!r} has the class {x[bad][0]}, outside 0 to {self.n - 1}; give a default_value"
                )
            x = np.where(bad, self._default, x)
        return x


def categorical_column_with_identity(key: str, num_buckets: int, default_value: int | None = None) -> Column:
    """Whole numbers from 0 to num_buckets - 1 as classes."""
    return _Identity(key, num_buckets, default_value)


class _Vocabulary(_Categorical):
    def __init__(self, key: str, words: list[Any], default: int, oov: int) -> None:
        super().__init__(key, len(words) + oov)
        if default < 0 and not oov:
            default = -1
        self._place = {w: i for i, w in enumerate(words)}
        self._default, self._oov = default, oov

    def prepare(self, features: dict[str, Array]) -> Array:
        """The place of each word. Raises: DataError for an unknown one without default or further buckets."""
        found = []
        for w in super().prepare(features).reshape(-1).tolist():
            w = w.decode() if isinstance(w, bytes) else w
            at = self._place.get(w, self._default)
            if at < 0 and self._oov:
                at = len(self._place) + sum(str(w).encode()) % self._oov
            if at < 0:
                raise DataError(
                    f"feature_column: {self.key!r} has {w!r}, which is not in the vocabulary; give num_oov_buckets or default_value"
                )
            found.append(at)
        return np.array(found, np.int64)


def categorical_column_with_vocabulary_list(
    key: str, vocabulary_list: Any, dtype: Any = None, default_value: int = -1, num_oov_buckets: int = 0
) -> Column:
    """Words (or numbers) of a list as classes; others go to further buckets, or to the default."""
    return _Vocabulary(key, list(vocabulary_list), default_value, num_oov_buckets)


class _Bucketized(_Categorical):
    def __init__(self, source: Column, boundaries: list[float]) -> None:
        super().__init__(source.key, len(boundaries) + 1)
        self._source, self._boundaries = source, boundaries

    def prepare(self, features: dict[str, Array]) -> Array:
        """The number of the range that each number lies in."""
        return np.searchsorted(self._boundaries, self._source.prepare(features).reshape(-1), side="right").astype(
            np.int64
        )

    def feed_name(self) -> str:
        """The name of its placeholder."""
        return super().feed_name() + "_bucketized"

    def dense(self, x: Any) -> Any:
        """1 at the class, 0 elsewhere."""
        return v1.one_hot(v1.reshape(x, [-1]), self.n)


def bucketized_column(source_column: Column, boundaries: Any) -> Column:
    """The range between boundaries that a number lies in, as a class."""
    return _Bucketized(source_column, list(boundaries))


class _Wrapped(Column):
    dtype: Any = "int64"

    def __init__(self, inner: Column) -> None:
        if not isinstance(inner, _Categorical):
            raise ArgumentError(f"feature_column: a categorical column is wrapped, not {type(inner).__name__}")
        self.inner, self.key = inner, inner.key

    def prepare(self, features: dict[str, Array]) -> Array:
        """The class numbers."""
        return self.inner.prepare(features)

    def feed_name(self) -> str:
        """The name of its placeholder."""
        return f"{self.inner.feed_name()}_{type(self).__name__.strip('_').lower()}"


class _Indicator(_Wrapped):
    def dense(self, x: Any) -> Any:
        """1 at the class, 0 elsewhere."""
        return v1.one_hot(v1.reshape(x, [-1]), self.inner.n)


def indicator_column(categorical_column: Column) -> Column:
    """A class as a row of zeros with a one."""
    return _Indicator(categorical_column)


class _Embedding(_Wrapped):
    def __init__(self, inner: Column, dimension: int) -> None:
        super().__init__(inner)
        self.dimension = dimension

    def dense(self, x: Any) -> Any:
        """The class's row of a trained table."""
        scale = 1 / math.sqrt(self.dimension)
        start = v1.truncated_normal_initializer(0.0, scale)
        table = v1.get_variable(f"{self.feed_name()}/weights", [self.inner.n, self.dimension], initializer=start)
        return v1.nn.embedding_lookup(table, v1.reshape(x, [-1]))


def embedding_column(categorical_column: Column, dimension: int) -> Column:
    """A class as a row of a trained table."""
    return _Embedding(categorical_column, dimension)
