"""The trivial generator has the mean and the covariance of what it was fitted to."""

from __future__ import annotations

import numpy as np
import torch

from medudl.report.trivial_generator import gaussian_samples


def test_mean_and_covariance_are_those_of_the_training_images() -> None:
    random = np.random.default_rng(0)
    mixing = random.normal(size=(3, 12)) * 0.05
    images = torch.from_numpy(0.5 + random.normal(size=(50, 3)) @ mixing).float().reshape(50, 1, 3, 4)

    def batches() -> list[torch.Tensor]:
        return list(images.split(16))

    made = torch.cat(list(gaussian_samples(batches, 50, 40_000, (1, 3, 4), 0))).flatten(1).double().numpy()
    real = images.flatten(1).double().numpy()
    assert made.shape == (40_000, 12)
    assert np.abs(made.mean(0) - real.mean(0)).max() < 0.003
    wanted = np.cov(real.T)
    assert np.abs(np.cov(made.T) - wanted).max() < 0.03 * wanted.max()
    assert np.linalg.matrix_rank(made - made.mean(0), tol=1e-3) == 3  # nothing that the images do not span


def test_the_same_seed_gives_the_same_samples_and_they_are_images() -> None:
    images = torch.rand(6, 1, 4, 4)
    first, again, other = (
        torch.cat(list(gaussian_samples(lambda: [images], 6, 5, (1, 4, 4), seed))) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (5, 1, 4, 4) and first.min() >= 0 and first.max() <= 1
