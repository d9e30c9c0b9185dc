"""Record what PyTorch's distributions give, for tests/distributions: `python tools/distribution_goldens.py` with PyTorch installed."""

import contextlib
import json
import pathlib

import torch
import torch.distributions as D

FILE = pathlib.Path(__file__).parent.parent / "tests" / "distributions" / "torch_goldens.json"
P, Q = [0.4, 1.3, 2.6], [0.9, 0.5, 1.7]
REALS, PROBS, OTHER_PROBS = [-0.7, 0.2, 1.4], [0.2, 0.5, 0.85], [0.3, 0.6, 0.4]
SIMPLEX, OTHER_SIMPLEX = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [[0.1, 0.1, 0.8], [0.2, 0.3, 0.5]]
TRIL = [[0.5, 0.0], [0.3, 1.2]]
CASES = [  # name, parameters, others for the divergence, value
    ("Normal", {"loc": REALS, "scale": P}, {"loc": P, "scale": Q}, REALS),
    ("LogNormal", {"loc": REALS, "scale": P}, None, P),
    ("HalfNormal", {"scale": P}, None, Q),
    ("Uniform", {"low": [-1.0, 0.0, 1.0], "high": [1.0, 2.0, 5.0]}, {"low": [-2.0, 0.0, 2.0], "high": [1.5, 2.0, 9.0]}, P),
    ("Exponential", {"rate": P}, {"rate": Q}, Q),
    ("Laplace", {"loc": REALS, "scale": P}, {"loc": P, "scale": Q}, Q),
    ("Cauchy", {"loc": REALS, "scale": P}, None, Q),
    ("Gumbel", {"loc": REALS, "scale": P}, None, Q),
    ("Gamma", {"concentration": P, "rate": Q}, {"concentration": Q, "rate": P}, Q),
    ("Chi2", {"df": P}, None, Q),
    ("Beta", {"concentration1": P, "concentration0": Q}, {"concentration1": Q, "concentration0": P}, PROBS),
    ("Dirichlet", {"concentration": P}, {"concentration": Q}, SIMPLEX[0]),
    ("StudentT", {"df": [1.5, 2.5, 5.0], "loc": REALS, "scale": P}, None, Q),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "scale_tril": TRIL}, {"loc": [0.0, 0.0], "scale_tril": [[1.0, 0.0], [0.5, 2.0]]}, [[0.1, 0.2], [1.0, -1.0]]),
    ("Bernoulli", {"probs": PROBS}, {"probs": OTHER_PROBS}, [0.0, 1.0, 1.0]),
    ("Bernoulli", {"logits": REALS}, {"logits": P}, [0.0, 1.0, 1.0]),
    ("Geometric", {"probs": PROBS}, {"probs": OTHER_PROBS}, [0.0, 2.0, 5.0]),
    ("Binomial", {"total_count": [5.0, 6.0, 7.0], "probs": PROBS}, None, [0.0, 2.0, 5.0]),
    ("Poisson", {"rate": P}, {"rate": Q}, [0.0, 2.0, 5.0]),
    ("Categorical", {"probs": SIMPLEX}, {"probs": OTHER_SIMPLEX}, [0, 2]),
    ("Categorical", {"logits": [REALS, P]}, {"logits": [P, REALS]}, [0, 2]),
    ("OneHotCategorical", {"probs": SIMPLEX}, None, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("RelaxedOneHotCategorical", {"temperature": 0.7, "probs": SIMPLEX}, None, OTHER_SIMPLEX),
    ("Multinomial", {"total_count": 6, "probs": SIMPLEX}, None, [[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]]),
]  # fmt: skip


def made(name, parameters):
    values = {
        k: v if k == "total_count" and isinstance(v, int) else torch.tensor(v, dtype=torch.float64)
        for k, v in parameters.items()
    }
    return getattr(D, name)(**values, validate_args=False)


def main():
    rows = []
    for name, parameters, others, value in CASES:
        d = made(name, parameters)
        row = {"name": name, "parameters": parameters, "others": others, "value": value}
        x = torch.tensor(value, dtype=torch.int64 if isinstance(value[0], int) else torch.float64)
        row["log_prob"] = d.log_prob(x).tolist()
        ways = {
            "mean": lambda d, _: d.mean,
            "variance": lambda d, _: d.variance,
            "entropy": lambda d, _: d.entropy(),
            "cdf": lambda d, x: d.cdf(x),
            "icdf": lambda d, _: d.icdf(torch.tensor(PROBS, dtype=torch.float64)),
        }
        for what, way in ways.items():
            with contextlib.suppress(NotImplementedError):
                row[what] = way(d, x).tolist()
        if others is not None:
            row["kl"] = D.kl_divergence(d, made(name, others)).tolist()
        rows.append(row)
    FILE.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")
    print(f"{len(rows)} distributions recorded from PyTorch {torch.__version__} in {FILE}")


if __name__ == "__main__":
    main()
