"""The cases whose values and gradients are compared with PyTorch's; `make_golden.py` writes the values."""

ACTIVATIONS = [
    "relu(f(3, 5))", "relu6(f(3, 5) * 6)", "hardtanh(f(3, 5))", "elu(f(3, 5), 0.7)", "selu(f(3, 5))", "celu(f(3, 5), 1.3)",
    "leaky_relu(f(3, 5), 0.2)", "prelu(f(3, 5), f(1))", "prelu(f(2, 3, 4), f(3))", "rrelu(f(3, 5))", "threshold(f(3, 5), 0.2, -1.5)",
    "gelu(f(3, 5))", "gelu(f(3, 5), approximate='tanh')", "silu(f(3, 5))", "mish(f(3, 5) * 9)", "softplus(f(3, 5) * 20)",
    "softplus(f(3, 5), 2.0, 1.0)", "logsigmoid(f(3, 5) * 30)", "softsign(f(3, 5))", "tanhshrink(f(3, 5))", "softshrink(f(3, 5), 0.4)",
    "hardshrink(f(3, 5), 0.4)", "hardsigmoid(f(3, 5) * 3)", "hardswish(f(3, 5) * 3)", "glu(f(3, 6))", "glu(f(4, 3), 0)", "softmin(f(3, 5), 1)",
    "softmax(f(3, 5) * 50, 0)", "log_softmax(f(3, 5) * 50, 1)", "sigmoid(f(3, 5))", "tanh(f(3, 5))",
]  # fmt: skip
LINEAR = [
    "nn.Linear(4, 3) | f(2, 4)", "nn.Linear(4, 3, bias=False) | f(2, 5, 4)", "nn.Linear(4, 3) | f(4)", "nn.Identity() | f(2, 3)",
    "nn.Bilinear(3, 4, 2) | f(5, 3), f(5, 4)", "nn.Bilinear(3, 4, 2, bias=False) | f(2, 5, 3), f(2, 5, 4)", "nn.PReLU(3) | f(2, 3, 4)",
]  # fmt: skip
CONV = [
    "nn.Conv1d(2, 3, 3) | f(2, 2, 7)", "nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2) | f(2, 2, 7)",
    "nn.Conv1d(2, 3, 4, padding='same', dilation=2) | f(2, 2, 9)", "nn.Conv1d(2, 3, 3, padding=2, padding_mode='reflect') | f(2, 2, 7)",
    "nn.Conv2d(2, 4, 3) | f(2, 2, 6, 5)", "nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 2), bias=False) | f(2, 2, 6, 5)",
    "nn.Conv2d(4, 4, 3, groups=4, padding=1) | f(2, 4, 5, 5)", "nn.Conv2d(2, 2, 3, dilation=2) | f(2, 7, 7)", "nn.Conv2d(3, 5, 1) | f(2, 3, 4, 4)",
    "nn.Conv2d(2, 3, 3, padding=1, padding_mode='circular') | f(1, 2, 4, 5)", "nn.Conv2d(2, 3, 3, padding='same', padding_mode='replicate') | f(1, 2, 4, 5)",
    "nn.Conv2d(2, 3, 3, padding='valid') | f(1, 2, 4, 5)", "nn.Conv3d(2, 3, 2) | f(1, 2, 4, 3, 3)", "nn.Conv3d(2, 4, (1, 2, 3), stride=2, padding=1, groups=2) | f(1, 2, 4, 3, 5)",
    "nn.ConvTranspose1d(2, 3, 3, stride=2) | f(2, 2, 5)", "nn.ConvTranspose1d(4, 2, 3, stride=3, padding=1, output_padding=2, groups=2) | f(2, 4, 4)",
    "nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1) | f(2, 3, 4, 3)", "nn.ConvTranspose2d(2, 4, (2, 3), dilation=2, output_padding=1) | f(2, 3, 4)",
    "nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1) | f(1, 2, 4, 4), (8, 7)", "nn.ConvTranspose3d(2, 3, 2, stride=2) | f(1, 2, 2, 3, 2)",
]  # fmt: skip
LOSSES = [
    "l1_loss(f(3, 4), c(3, 4))", "mse_loss(f(3, 4), c(3, 4))", "mse_loss(f(3, 4), f(3, 4), reduction='sum')", "mse_loss(f(3, 4), c(3, 4), reduction='none')",
    "smooth_l1_loss(f(3, 4), c(3, 4))", "smooth_l1_loss(f(3, 4), c(3, 4), beta=0.3, reduction='none')", "smooth_l1_loss(f(3, 4), c(3, 4), beta=0.0)",
    "huber_loss(f(3, 4), c(3, 4), delta=0.6)", "cross_entropy(f(4, 5), i(5, 4))", "cross_entropy(f(5), i(5))", "cross_entropy(f(2, 5, 3), i(5, 2, 3))",
    "cross_entropy(f(2, 5, 3, 2), i(5, 2, 3, 2), reduction='none')", "cross_entropy(f(4, 5), i(5, 4), q(5))", "cross_entropy(f(4, 5), i(5, 4), q(5), reduction='sum')",
    "cross_entropy(f(4, 5), i(5, 4), label_smoothing=0.2)", "cross_entropy(f(4, 5), i(5, 4), q(5), label_smoothing=0.2)",
    "cross_entropy(f(4, 5), a(1, -100, 3, 0))", "cross_entropy(f(4, 5), a(1, 2, 3, 0), q(5), ignore_index=2, label_smoothing=0.1)",
    "cross_entropy(f(4, 5), a(1, 2, 3, 0), ignore_index=2, reduction='none', label_smoothing=0.1)", "cross_entropy(f(4, 5) * 1000, i(5, 4))",
    "cross_entropy(f(4, 5), p(4, 5))", "cross_entropy(f(2, 5, 3), p(2, 5, 3), q(5), label_smoothing=0.3)", "cross_entropy(f(4, 5), p(4, 5), reduction='none')",
    "nll_loss(f(4, 5), i(5, 4))", "nll_loss(f(2, 5, 3), i(5, 2, 3), q(5), ignore_index=3)", "nll_loss(f(5), i(5))", "nll_loss(f(4, 5), i(5, 4), q(5), reduction='none')",
    "binary_cross_entropy(p(3, 4), c(3, 4).abs() * 0.5)", "binary_cross_entropy(p(3, 4), c(3, 4).abs() * 0.5, q(3, 4), reduction='sum')",
    "binary_cross_entropy_with_logits(f(3, 4) * 40, c(3, 4).abs() * 0.5)", "binary_cross_entropy_with_logits(f(3, 4), c(3, 4).abs() * 0.5, q(4), pos_weight=q(4))",
    "kl_div(f(3, 4), q(3, 4))", "kl_div(f(3, 4), f(3, 4), log_target=True, reduction='batchmean')", "kl_div(f(3, 4), p(3, 4), reduction='none')",
    "poisson_nll_loss(f(3, 4), q(3, 4) * 3, full=True)", "poisson_nll_loss(p(3, 4), q(3, 4) * 3, log_input=False)", "gaussian_nll_loss(f(3, 4), f(3, 4), p(3, 4))",
    "gaussian_nll_loss(f(3, 4), c(3, 4), p(3), full=True)", "gaussian_nll_loss(f(3, 4), c(3, 4), p(3, 1), reduction='none')",
    "hinge_embedding_loss(f(3, 4), s(3, 4), 0.7)", "soft_margin_loss(f(3, 4), s(3, 4))", "margin_ranking_loss(f(3, 4), f(3, 4), s(3, 4), 0.3)",
    "multi_margin_loss(f(4, 5), i(5, 4))", "multi_margin_loss(f(4, 5), i(5, 4), 2, 0.6, q(5), reduction='none')", "multi_margin_loss(f(5), i(5))",
    "multilabel_margin_loss(f(2, 4), a(3, 0, -1, 1, 2, -1, 0, 3).reshape(2, 4))", "multilabel_margin_loss(f(4), a(3, 0, 2, -1))",
    "multilabel_soft_margin_loss(f(3, 4), p(3, 4))", "cosine_embedding_loss(f(3, 4), f(3, 4), s(3), 0.1)", "triplet_margin_loss(f(3, 4), f(3, 4), f(3, 4))",
    "triplet_margin_loss(f(3, 4), f(3, 4), f(3, 4), 0.5, 1, swap=True, reduction='none')", "triplet_margin_with_distance_loss(f(3, 4), f(3, 4), f(3, 4))",
    "ctc_loss(f(8, 2, 5).log_softmax(2), a(1, 2, 2, 3, 1, 4).reshape(2, 3), (8, 7), (3, 2))", "ctc_loss(f(8, 2, 5).log_softmax(2), a(1, 2, 2, 3, 1), (8, 7), (3, 2), reduction='none')",
    "ctc_loss(f(6, 5).log_softmax(1), a(1, 1, 3), a(6), a(3), reduction='sum')", "ctc_loss(f(3, 1, 5).log_softmax(2), a(1, 1, 3), (3,), (3,), zero_infinity=True)",
    "ctc_loss(f(4, 2, 5).log_softmax(2), a(1, 2), (4, 3), (2, 0), blank=4)",
]  # fmt: skip
DISTANCES = [
    "normalize(f(3, 4))", "normalize(f(3, 4), 3.0, 0)", "pairwise_distance(f(3, 4), f(3, 4))", "pairwise_distance(f(3, 4), f(3, 4), 1.5, keepdim=True)",
    "cosine_similarity(f(3, 4), f(3, 4))", "cosine_similarity(f(2, 3, 4), f(2, 3, 4), dim=2)", "pdist(f(4, 3))",
]  # fmt: skip
PADDING = [
    "pad(f(2, 3, 4), (1, 2))", "pad(f(2, 3, 4), (1, -1, 2, 0), value=0.5)", "pad(f(2, 3, 4), (2, 1), 'reflect')", "pad(f(1, 2, 3, 4), (2, 1, 1, 2), 'reflect')",
    "pad(f(1, 2, 3, 4), (2, 1, 3, 0), 'replicate')", "pad(f(1, 2, 3, 4), (2, 1, 0, 2), 'circular')", "pad(f(1, 2, 3, 4), (-1, 1, 0, 2), 'replicate')",
]  # fmt: skip

CASES = [*("F." + c for c in ACTIVATIONS + LOSSES + DISTANCES + PADDING), *LINEAR, *CONV]
