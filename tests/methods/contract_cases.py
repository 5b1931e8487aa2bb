"""The smallest form of every method, for the contract test: options by name, several where it has several faces."""

from __future__ import annotations

from typing import Any

_AUTOENCODER = {"name": "autoencoder", "latent": 16, "width": 8, "levels": 2}

# Options that make a method tiny. A method of METHODS without a line here fails `test_every_method_is_tried`.
CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("autoencoder", {"latent": 6, "width": 4, "levels": 2, "loss": loss, "norm": norm})
        for loss, norm in [
            ("squared_error", "group"),
            ("absolute_error", "none"),
            ("gaussian_nll", "batch"),
            ("bernoulli_cross_entropy", "group"),
            ("ssim", "group"),
        ]
    ),
    ("autoencoder", {"latent": 6, "network": "dense", "hidden": [24]}),
    ("autoencoder", {"latent": 6, "network": "linear"}),
    *(
        ("sparse_autoencoder", {"latent": 24, "penalty": penalty, "network": network, "width": 4, "levels": 2})
        for penalty, network in [("l1", "convolutional"), ("l2", "linear"), ("kl", "dense"), ("kl", "convolutional")]
    ),
    *(
        ("stacked_autoencoder", {"channels": channels, "sizes": [12, 6], "training": training, "corruption": noise})
        for channels, training, noise in [
            ([], "greedy", "gaussian"),
            ([4], "end_to_end", "masking"),
            ([4], "greedy_then_end_to_end", "none"),
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
    *(
        ("variational_autoencoder", {"latent": 6, "width": 4, "levels": 2, "hidden": [16], **more})
        for more in [
            {"network": "convolutional", "likelihood": "gaussian", "norm": "batch"},
            {"network": "dense", "likelihood": "laplace", "sigma": 0.1, "warmup": 20},
            {"network": "convolutional", "likelihood": "bernoulli", "beta": 0.5},
            {"network": "linear", "objective": "reconstruction"},
            {"network": "dense", "objective": "kl"},
        ]
    ),
    ("rbm", {"hidden": 10, "gibbs": 5}),
    ("rbm", {"hidden": 10, "gibbs": 5, "chain": "pcd", "particles": 6, "k": 2}),
    ("rbm", {"hidden": 10, "gibbs": 5, "visible": "gaussian", "end": "mean"}),
    ("rbm", {"hidden": 10, "gibbs": 5, "visible": "gaussian", "sigma": "per_voxel", "chain": "pcd"}),
    ("deep_belief_network", {"hidden": [20, 10], "gibbs": 5}),
    ("deep_belief_network", {"hidden": [20, 16, 10], "gibbs": 5, "inputs": "sampled", "visible": "gaussian"}),
    *(
        ("classifier", {"classes": ["healthy", "sick"], "healthy": ["healthy"], "body": body, **more})
        for body, more in [
            (_AUTOENCODER, {}),
            (_AUTOENCODER, {"head": "cam", "counts": [3, 1]}),
            ({**_AUTOENCODER, "latent": 96, "norm": "batch"}, {"freeze": True, "norm": "layer", "dropout": 0.1}),
        ]
    ),
    *(
        ("feature_autoencoder", {"latent": 4, "components": 2, "bank": 5, **more})
        for more in [
            {"features": "efficientnet_lite0", "stages": [2], "side": 32, "model": "linear"},
            {"features": "random", "stages": [1, 2], "model": "convolutional"},
            {"features": "random", "stages": [2], "model": "nearest", "latent": 16},
        ]
    ),
    *(
        ("gan", {"latent": 6, "width": 8, **more})
        for more in [
            {},
            {"norm": "none", "upsampling": "transposed", "loss": "least_squares", "generator_steps": 2},
        ]
    ),
    (
        "conditional_gan",
        {
            "latent": 6,
            "width": 8,
            "classes": ["left", "right"],
            "norm": "none",
            "loss": "least_squares",
            "upsampling": "transposed",
            "generator_steps": 2,
        },
    ),  # fmt: skip
    *(
        ("semi_supervised_gan", {"classes": ["left", "right"], "latent": 6, "width": 8, **more})
        for more in [
            {"healthy": ["left"], "counts": [3, 1]},
            {"unlabelled": "pseudo_labels", "warmup": 4, "threshold": 0.6, "balanced": False},
            {"unlabelled": "none", "dropout": 0.0},
        ]
    ),
    *(
        ("label_spreading", {"classes": ["left", "right"], "features": "random", "stages": [1], **more})
        for more in [{"healthy": ["left"], "counts": [3, 1]}, {"unlabelled": "none", "balanced": False}]
    ),
    *(
        ("pix2pix", {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 1, **more})
        for more in [
            {},
            {"network": "resnet", "blocks": 1, "scales": 2, "loss": "hinge", "structure": "mind"},
            {"adversarial": 0, "dropout": 0.3},
        ]
    ),
    *(
        ("cyclegan", {"width": 4, "blocks": 1, "discriminator_width": 4, "receptive_field": 1, **more})
        for more in [
            {},
            {"network": "unet", "depth": 2},
        ]
    ),
    ("toy_wasserstein", {}),
    ("toy_unrolled", {}),
    ("toy_staged_rbm", {}),
]
