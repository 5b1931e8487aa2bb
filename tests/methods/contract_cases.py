"""The smallest form of every method, for the contract test: options by name, several where it has several faces."""

from __future__ import annotations

from typing import Any

# Options that make a method tiny. A method of METHODS without a line here fails `test_every_method_is_tried`.
CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("autoencoder", {"latent": 6, "width": 4, "levels": 2, "loss": loss, "norm": norm})
        for loss, norm in [
            ("squared_error", "group"),
            ("absolute_error", "none"),
            ("gaussian_nll", "batch"),
            ("bernoulli_cross_entropy", "group"),
        ]
    ),
    *(
        ("denoising_autoencoder", {"width": 4, "levels": 2, "noise": noise, "grid": 4, **more})
        for noise, more in [
            ("coarse", {}),
            ("coarse", {"residual": True, "patch": 2}),
            ("gaussian", {"norm": "batch"}),
            ("masking", {"network": "bottleneck", "latent": 16, "fill": "mean"}),
        ]
    ),
    ("toy_wasserstein", {}),
    ("toy_unrolled", {}),
    ("toy_staged_rbm", {}),
]
