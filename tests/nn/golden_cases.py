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
POOLING = [
    "max_pool1d(f(2, 3, 7), 3)", "max_pool2d(f(2, 3, 6, 7), 2)", "max_pool2d(f(3, 6, 7), (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))",
    "max_pool2d(f(2, 1, 6, 7), 3, 2, 1, ceil_mode=True)", "max_pool2d(f(2, 3, 5, 5), 2, 2, ceil_mode=True)", "max_pool3d(f(1, 2, 4, 4, 4), 2, 1)",
    "avg_pool1d(f(2, 3, 7), 3)", "avg_pool2d(f(2, 3, 6, 7), 2)", "avg_pool2d(f(2, 3, 6, 7), 3, 2, 1)", "avg_pool2d(f(2, 3, 6, 7), 3, 2, 1, count_include_pad=False)",
    "avg_pool2d(f(2, 3, 6, 7), 3, 2, 1, ceil_mode=True)", "avg_pool2d(f(2, 3, 6, 7), 3, 2, 1, ceil_mode=True, count_include_pad=False)",
    "avg_pool2d(f(2, 3, 6, 7), (2, 3), (1, 2), divisor_override=5)", "avg_pool3d(f(1, 2, 4, 5, 4), 2)", "lp_pool1d(f(2, 3, 7).abs(), 2.0, 3, 2)",
    "lp_pool2d(f(2, 3, 6, 7).abs(), 3.0, 2)", "lp_pool2d(f(2, 3, 5, 5).abs(), 2.0, 2, ceil_mode=True)", "adaptive_avg_pool1d(f(2, 3, 7), 3)",
    "adaptive_avg_pool2d(f(2, 3, 6, 8), (3, 4))", "adaptive_avg_pool2d(f(2, 3, 6, 7), (None, 5))", "adaptive_avg_pool2d(f(2, 3, 3, 4), (5, 6))",
    "adaptive_avg_pool3d(f(1, 2, 4, 5, 6), 3)", "adaptive_max_pool1d(f(2, 3, 7), 3)", "adaptive_max_pool2d(f(2, 3, 6, 7), (4, 3))",
    "adaptive_max_pool2d(f(2, 3, 6, 8), 2)", "adaptive_max_pool3d(f(1, 2, 4, 5, 6), (3, 2, 4))",
    "fractional_max_pool2d(f(2, 3, 7, 9), 2, output_size=(3, 4), _random_samples=p(2, 3, 2).detach())",
    "fractional_max_pool3d(f(1, 2, 6, 7, 8), (2, 2, 1), output_ratio=0.5, _random_samples=p(1, 2, 3).detach())",
    "max_unpool2d(*F.max_pool2d(f(2, 3, 6, 8), 2, return_indices=True), 2)", "max_unpool1d(*F.max_pool1d(f(2, 3, 7), 2, return_indices=True), 2, output_size=(7,))",
    "max_unpool3d(*F.max_pool3d(f(1, 2, 4, 4, 4), 2, return_indices=True), 2)",
]  # fmt: skip
POOLING_INDICES = [
    "max_pool2d(f(2, 3, 6, 7), 3, 2, 1, return_indices=True)[1] * 1.0", "adaptive_max_pool2d(f(2, 3, 6, 7), (4, 3), return_indices=True)[1] * 1.0",
    "adaptive_max_pool3d(f(1, 2, 4, 5, 6), (3, 2, 4), return_indices=True)[1] * 1.0",
]  # fmt: skip
VISION = [
    "interpolate(f(2, 3, 5), size=8)", "interpolate(f(2, 3, 5, 4), scale_factor=2)", "interpolate(f(2, 3, 5, 4), scale_factor=(0.7, 1.6), mode='nearest-exact')",
    "interpolate(f(2, 3, 5), scale_factor=1.7, mode='linear')", "interpolate(f(2, 3, 5), size=9, mode='linear', align_corners=True)",
    "interpolate(f(2, 3, 5, 4), size=(3, 7), mode='bilinear')", "interpolate(f(2, 3, 5, 4), scale_factor=1.3, mode='bilinear', align_corners=True)",
    "interpolate(f(2, 3, 5, 4), scale_factor=1.3, mode='bilinear', recompute_scale_factor=True)", "interpolate(f(2, 3, 5, 4), size=(8, 3), mode='bicubic')",
    "interpolate(f(2, 3, 5, 4), size=(8, 6), mode='bicubic', align_corners=True)", "interpolate(f(1, 2, 3, 4, 3), size=(5, 3, 4), mode='trilinear')",
    "interpolate(f(2, 3, 5, 4), size=(3, 2), mode='area')", "interpolate(f(2, 3, 5, 7), size=(3, 3), mode='bicubic', antialias=True)",
    "interpolate(f(2, 3, 5, 7), size=(3, 9), mode='bilinear', antialias=True, align_corners=True)", "pixel_shuffle(f(2, 8, 3, 2), 2)", "pixel_unshuffle(f(2, 2, 6, 4), 2)", "channel_shuffle(f(2, 6, 3, 2), 3)",
    "unfold(f(2, 3, 5, 6), (2, 3), dilation=(1, 2), padding=1, stride=2)", "fold(f(2, 12, 12), (4, 5), 2)", "fold(f(12, 4), (4, 5), (2, 2), padding=1, stride=(2, 3), dilation=2)",
    "affine_grid(f(2, 2, 3), (2, 1, 3, 4), align_corners=False)", "affine_grid(f(2, 3, 4), (2, 1, 3, 4, 2), align_corners=True)",
    "grid_sample(f(2, 3, 4, 5), f(2, 3, 4, 2), align_corners=False)", "grid_sample(f(2, 3, 4, 5), f(2, 3, 4, 2), padding_mode='border', align_corners=True)",
    "grid_sample(f(2, 3, 4, 5), f(2, 3, 4, 2) * 2, padding_mode='reflection', align_corners=False)", "grid_sample(f(2, 3, 4, 5), c(2, 3, 4, 2), mode='nearest', align_corners=False)",
    "grid_sample(f(1, 2, 3, 4, 3), f(1, 2, 3, 2, 3), align_corners=True)",
]  # fmt: skip
NORM = [
    "F.layer_norm(f(3, 4, 5), (4, 5), f(4, 5), f(4, 5))", "F.layer_norm(f(3, 4), (4,))", "F.rms_norm(f(3, 4), (4,), f(4), 1e-3)", "F.rms_norm(f(3, 4), (4,))",
    "F.group_norm(f(2, 6, 4), 3, f(6), f(6))", "F.instance_norm(f(2, 3, 4), weight=f(3), bias=f(3))", "F.local_response_norm(f(2, 5, 4), 3, 0.5)",
    "F.local_response_norm(f(2, 5, 4, 3), 2)", "F.batch_norm(f(4, 3), c(3), q(3), f(3), f(3))", "F.batch_norm(f(4, 3, 2), None, None, f(3), f(3), training=True)",
    "nn.BatchNorm1d(3) | f(4, 3)", "nn.BatchNorm2d(3, affine=False) | f(2, 3, 4, 2)", "nn.BatchNorm3d(2, track_running_stats=False) | f(2, 2, 3, 2, 2)",
    "nn.LayerNorm(4) | f(3, 4)", "nn.LayerNorm((3, 4), bias=False) | f(2, 3, 4)", "nn.GroupNorm(2, 4) | f(2, 4, 3)", "nn.InstanceNorm1d(3, affine=True) | f(2, 3, 4)",
    "nn.InstanceNorm2d(3, track_running_stats=True) | f(2, 3, 4, 2)", "nn.InstanceNorm1d(3) | f(3, 4)", "nn.RMSNorm(4) | f(3, 4)", "nn.LocalResponseNorm(3) | f(2, 5, 4)",
    "nn.BatchNorm1d(3).eval() | f(4, 3, 2)",
]  # fmt: skip
EMBEDDING = [
    "F.one_hot(i(5, 4), 6) * 1.0", "F.embedding(i(5, 2, 3), f(5, 4))", "F.embedding(i(5, 2, 3), f(5, 4), padding_idx=-2)", "F.embedding(i(5, 2, 3), f(5, 4), scale_grad_by_freq=True)",
    "F.embedding_bag(i(5, 2, 3), f(5, 4))", "F.embedding_bag(i(5, 7), f(5, 4), a(0, 3, 3, 5), mode='sum')", "F.embedding_bag(i(5, 7), f(5, 4), a(0, 3, 7), mode='mean', include_last_offset=True)",
    "F.embedding_bag(i(5, 2, 3), f(5, 4), mode='max')", "F.embedding_bag(i(5, 7), f(5, 4), a(0, 3, 3, 5), mode='max')", "F.embedding_bag(i(5, 2, 3), f(5, 4), mode='sum', per_sample_weights=f(2, 3))",
    "F.embedding_bag(i(5, 2, 3), f(5, 4), mode='mean', padding_idx=1)", "nn.Embedding(5, 3, padding_idx=1) | i(5, 2, 4)", "nn.Embedding(5, 3, max_norm=0.5) | i(5, 2, 4)",
    "nn.EmbeddingBag(5, 3, mode='sum') | i(5, 2, 4)",
]  # fmt: skip
LAYERS = [
    "nn.Flatten() | f(2, 3, 4)", "nn.Flatten(0, 1) | f(2, 3, 4)", "nn.Unflatten(1, (2, 3)) | f(2, 6, 2)", "nn.ReLU() | f(3, 4)", "nn.Hardtanh(-0.5, 0.5) | f(3, 4)", "nn.ELU(0.5) | f(3, 4)",
    "nn.SELU() | f(3, 4)", "nn.CELU(0.5) | f(3, 4)", "nn.LeakyReLU(0.3) | f(3, 4)", "nn.RReLU().eval() | f(3, 4)", "nn.Threshold(0.1, 2.0) | f(3, 4)", "nn.GELU() | f(3, 4)",
    "nn.GELU('tanh') | f(3, 4)", "nn.SiLU() | f(3, 4)", "nn.Mish() | f(3, 4)", "nn.Hardswish() | f(3, 4)", "nn.Hardsigmoid() | f(3, 4)", "nn.Softplus(2.0) | f(3, 4)", "nn.Softshrink() | f(3, 4)",
    "nn.Hardshrink() | f(3, 4)", "nn.Softsign() | f(3, 4)", "nn.Tanhshrink() | f(3, 4)", "nn.Sigmoid() | f(3, 4)", "nn.Tanh() | f(3, 4)", "nn.LogSigmoid() | f(3, 4)", "nn.GLU() | f(3, 4)",
    "nn.Softmax(1) | f(3, 4)", "nn.LogSoftmax(0) | f(3, 4)", "nn.Softmin(1) | f(3, 4)", "nn.Softmax2d() | f(2, 3, 2, 2)", "nn.ReLU6() | f(3, 4)",
    "nn.MaxPool1d(2) | f(2, 3, 7)", "nn.MaxPool2d(2, 1, 1) | f(2, 3, 4, 5)", "nn.MaxPool3d(2) | f(1, 2, 4, 4, 4)", "nn.AvgPool1d(2) | f(2, 3, 7)", "nn.AvgPool2d(2, padding=1) | f(2, 3, 4, 5)",
    "nn.AvgPool3d(2) | f(1, 2, 4, 4, 4)", "nn.LPPool1d(2, 2) | p(2, 3, 7)", "nn.LPPool2d(2, 2) | p(2, 3, 4, 5)", "nn.AdaptiveAvgPool1d(2) | f(2, 3, 5)", "nn.AdaptiveAvgPool2d((2, None)) | f(2, 3, 5, 4)",
    "nn.AdaptiveAvgPool3d(1) | f(1, 2, 3, 4, 3)", "nn.AdaptiveMaxPool1d(2) | f(2, 3, 5)", "nn.AdaptiveMaxPool2d(2) | f(2, 3, 5, 4)", "nn.AdaptiveMaxPool3d(2) | f(1, 2, 3, 4, 3)",
    "nn.MaxUnpool2d(2) | *F.max_pool2d(f(2, 3, 4, 4), 2, return_indices=True)", "nn.MaxUnpool1d(2) | *F.max_pool1d(f(2, 3, 4), 2, return_indices=True)",
    "nn.Upsample(scale_factor=2) | f(2, 3, 4)", "nn.Upsample(size=(5, 6), mode='bilinear', align_corners=True) | f(2, 3, 4, 4)", "nn.UpsamplingNearest2d(scale_factor=2) | f(2, 3, 4, 4)",
    "nn.UpsamplingBilinear2d(size=(5, 3)) | f(2, 3, 4, 4)", "nn.PixelShuffle(2) | f(1, 4, 2, 3)", "nn.PixelUnshuffle(2) | f(1, 1, 4, 6)", "nn.ChannelShuffle(2) | f(1, 4, 2, 3)",
    "nn.Fold((4, 5), 2) | f(2, 12, 12)", "nn.Unfold(2, padding=1) | f(2, 3, 4, 5)", "nn.CosineSimilarity(dim=0) | f(3, 4), f(3, 4)", "nn.PairwiseDistance(3.0) | f(3, 4), f(3, 4)",
    "nn.ZeroPad1d(2) | f(2, 3, 4)", "nn.ZeroPad2d((1, 0, 2, 1)) | f(2, 3, 4)", "nn.ZeroPad3d(1) | f(1, 2, 3, 2, 2)", "nn.ConstantPad1d(1, 0.5) | f(2, 3, 4)", "nn.ConstantPad2d(1, 0.5) | f(2, 3, 4)",
    "nn.ConstantPad3d(1, 0.5) | f(1, 2, 3, 2, 2)", "nn.ReflectionPad1d((2, 1)) | f(2, 3, 4)", "nn.ReflectionPad2d(1) | f(1, 2, 3, 4)", "nn.ReflectionPad3d(1) | f(1, 2, 3, 2, 2)",
    "nn.ReplicationPad1d(2) | f(2, 3, 4)", "nn.ReplicationPad2d(1) | f(1, 2, 3, 4)", "nn.ReplicationPad3d(1) | f(1, 2, 3, 2, 2)", "nn.CircularPad1d(2) | f(2, 3, 4)", "nn.CircularPad2d(1) | f(1, 2, 3, 4)",
    "nn.CircularPad3d(1) | f(1, 2, 3, 2, 2)", "nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.0), nn.Linear(5, 2)) | f(3, 4)", "nn.Dropout(0.7).eval() | f(3, 4)",
]  # fmt: skip
LOSS_LAYERS = [
    "nn.L1Loss() | f(3, 4), c(3, 4)", "nn.MSELoss(reduction='sum') | f(3, 4), c(3, 4)", "nn.SmoothL1Loss(beta=0.5) | f(3, 4), c(3, 4)", "nn.HuberLoss(delta=0.5) | f(3, 4), c(3, 4)",
    "nn.CrossEntropyLoss(label_smoothing=0.1) | f(4, 5), i(5, 4)", "nn.NLLLoss(ignore_index=2) | f(4, 5), i(5, 4)", "nn.BCELoss() | p(3, 4), c(3, 4).abs() * 0.5", "nn.BCEWithLogitsLoss() | f(3, 4), c(3, 4).abs() * 0.5",
    "nn.KLDivLoss(reduction='batchmean') | f(3, 4), q(3, 4)", "nn.PoissonNLLLoss() | f(3, 4), q(3, 4)", "nn.GaussianNLLLoss() | f(3, 4), c(3, 4), p(3, 4)", "nn.HingeEmbeddingLoss() | f(3, 4), s(3, 4)",
    "nn.SoftMarginLoss() | f(3, 4), s(3, 4)", "nn.MarginRankingLoss(0.5) | f(3, 4), f(3, 4), s(3, 4)", "nn.MultiMarginLoss(2, 0.5) | f(4, 5), i(5, 4)", "nn.MultiLabelMarginLoss() | f(4), a(3, 0, 2, -1)",
    "nn.MultiLabelSoftMarginLoss() | f(3, 4), p(3, 4)", "nn.CosineEmbeddingLoss(0.2) | f(3, 4), f(3, 4), s(3)", "nn.TripletMarginLoss(0.5) | f(3, 4), f(3, 4), f(3, 4)",
    "nn.TripletMarginWithDistanceLoss(margin=0.5) | f(3, 4), f(3, 4), f(3, 4)", "nn.CTCLoss(blank=2) | f(5, 1, 4).log_softmax(2), a(1, 3, 1).reshape(1, 3), (5,), (3,)",
]  # fmt: skip

CASES = [
    *("F." + c for c in ACTIVATIONS + LOSSES + DISTANCES + PADDING + POOLING + POOLING_INDICES + VISION),
    *NORM, *EMBEDDING, *LINEAR, *CONV, *LAYERS, *LOSS_LAYERS,
]  # fmt: skip
