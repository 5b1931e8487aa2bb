"""What is the variational autoencoder's own, beyond the contract."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from flow import adam, train, turns
from torch import Tensor
from torch.distributions import Bernoulli, Laplace, Normal

from medudl.errors import UserError
from medudl.losses.divergence import kl_to_standard_normal
from medudl.methods import build
from medudl.methods.method import Objective
from medudl.methods.posterior import CodeUse, Moments, fixed_noise, reparametrise
from medudl.methods.variational_autoencoder import VariationalAutoencoder

TINY = {"latent": 4, "network": "dense", "hidden": [16]}


def _build(shape: tuple[int, ...] = (2, 8, 8), **options: object) -> VariationalAutoencoder:
    torch.manual_seed(0)
    method = build("variational_autoencoder", shape, {**TINY, **options})
    assert isinstance(method, VariationalAutoencoder)
    return method.eval()


def _digits() -> Tensor:
    """(1797, 1, 8, 8) in [0, 1]."""
    from sklearn.datasets import load_digits

    return torch.from_numpy(np.asarray(load_digits().images, np.float32) / 16)[:, None]


def _learn(method: VariationalAutoencoder, images: Tensor, steps: int, lr: float = 2e-3) -> None:
    """Batches of 100, drawn from seed 0; the last third of the steps at a tenth of the rate, to come to rest."""
    method.train()
    order = torch.Generator().manual_seed(0)
    for rate, count in ((lr, steps * 2 // 3), (lr / 10, steps // 3)):
        optimisers = adam(method, rate)
        for _ in range(count):
            chosen = torch.randint(len(images), (100,), generator=order)
            turns(method, {"image": images[chosen]}, optimisers, lambda _: None)
    method.eval()
    method.settle([{"image": images}])


def _step(method: VariationalAutoencoder, image: Tensor, **more: Tensor) -> Objective:
    return next(iter(method.step({"image": image, **more})))  # type: ignore[typeddict-item]


# The likelihoods are whole.


def test_the_likelihoods_are_torchs_own_constants_included() -> None:
    torch.manual_seed(0)
    output, image = torch.randn(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    scale = torch.tensor(0.3)
    cases = [
        ("gaussian", {"sigma": 0.3}, image, Normal(output, scale)),
        ("laplace", {"sigma": 0.3}, image, Laplace(output, scale)),
        ("bernoulli", {}, image.round(), Bernoulli(logits=output)),
    ]
    for name, options, x, reference in cases:
        nll = _build(likelihood=name, **options).likelihood(output, x, None)
        torch.testing.assert_close(nll, -reference.log_prob(x).flatten(1).sum(1))


@pytest.mark.parametrize(("likelihood", "mean_error"), [("gaussian", "square"), ("laplace", "abs")])
def test_a_learned_spread_is_that_of_what_is_left(likelihood: str, mean_error: str) -> None:
    """Images of pure noise: sigma ends at the noise's own."""
    torch.manual_seed(0)
    image = 0.5 + 0.3 * torch.randn(64, 1, 8, 8)
    method = _build((1, 8, 8), likelihood=likelihood, latent=1, network="linear")
    train(method, {"image": image}, 500, lr=4e-2)
    error = method.reconstruct(image) - image
    left = error.square().mean().sqrt() if mean_error == "square" else error.abs().mean()
    assert method.likelihood.log_spread().exp().item() == pytest.approx(left.item(), rel=0.05)  # type: ignore[operator]


def test_images_without_noise_do_not_drive_the_likelihood_to_infinity() -> None:
    """A spread as small as can be learned leaves a finite likelihood, and a gradient that can enlarge it again."""
    method, image = _build((1, 8, 8)), torch.zeros(1, 1, 8, 8)
    raw = dict(method.named_parameters())["likelihood.raw"]
    with torch.no_grad():
        raw.fill_(-20.0)
    nll = method.likelihood(image, image, None)
    torch.testing.assert_close(nll, -Normal(image, 1e-3).log_prob(image).flatten(1).sum(1))
    method.likelihood(image, image + 0.5, None).sum().backward()
    assert raw.grad is not None and raw.grad < 0


def test_a_bare_squared_error_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.likelihood: Input should be 'gaussian', 'laplace' or 'bernoulli'"):
        _build(likelihood="squared_error")
    assert _build().likelihood.learned is True
    with pytest.raises(UserError, match=r"method\.sigma: a bernoulli likelihood has no spread"):
        _build(likelihood="bernoulli", sigma=0.1)
    with pytest.raises(UserError, match=r"method\.latent: 128 is no bottleneck"):
        _build(latent=128)


# The objective.


def test_the_loss_is_the_sum_over_voxels_and_latents_and_the_mean_over_the_batch() -> None:
    torch.manual_seed(0)
    method, image = _build(sigma=0.2, beta=3.0), torch.rand(5, 2, 8, 8)
    torch.manual_seed(1)
    objective = _step(method, image)
    torch.manual_seed(1)
    mean, log_var = method.posterior(image)
    expected = method.decoder(mean + torch.exp(0.5 * log_var) * torch.randn(5, 4))
    by_hand = [
        -Normal(expected[i], 0.2).log_prob(image[i]).sum()
        + 3 * 0.5 * (mean[i].square() + log_var[i].exp() - 1 - log_var[i]).sum()
        for i in range(5)
    ]
    assert objective.loss is not None
    torch.testing.assert_close(objective.loss, torch.stack(by_hand).mean())
    parts = objective.parts
    torch.testing.assert_close(objective.loss.detach(), parts["reconstruction"] + 3 * parts["kl"])


def test_outside_the_foreground_nothing_is_learned() -> None:
    torch.manual_seed(0)
    method, image = _build(sigma=0.2), torch.rand(3, 2, 8, 8)
    foreground = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    foreground[..., 2:5, 2:5] = True
    bound = method.validate({"image": image, "foreground": foreground})
    inside = -Normal(method.decoder(method.encode(image)), 0.2).log_prob(image) * foreground
    assert bound["reconstruction"].mean().item() == pytest.approx(inside.flatten(1).sum(1).mean().item(), abs=40)
    torch.testing.assert_close(bound["loss"], bound["reconstruction"] + bound["kl"])
    nothing = method.validate({"image": image, "foreground": torch.zeros_like(foreground)})
    assert nothing["reconstruction"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"beta": 2.0}, (1, 2)),
        ({"objective": "reconstruction", "beta": 2.0}, (1, 0)),
        ({"objective": "kl", "beta": 2.0}, (0, 1)),
        ({"beta": 0.0}, (1, 0)),
    ],
)
def test_objectives(options: dict[str, object], weights: tuple[float, float]) -> None:
    method, image = _build(**options), torch.rand(3, 2, 8, 8)
    objective = _step(method, image)
    assert objective.loss is not None
    parts = objective.parts["reconstruction"] * weights[0] + objective.parts["kl"] * weights[1]
    torch.testing.assert_close(objective.loss.detach(), parts)
    values = method.validate({"image": image})
    torch.testing.assert_close(values["loss"], values["reconstruction"] * weights[0] + values["kl"] * weights[1])


def test_beta_rises_over_the_warm_up_and_validation_does_not_wait_for_it() -> None:
    method, image = _build(warmup=4, beta=2.0), torch.rand(3, 2, 8, 8)
    shares = []
    for _ in range(6):
        objective = _step(method, image)
        assert objective.loss is not None
        shares.append(((objective.loss.detach() - objective.parts["reconstruction"]) / objective.parts["kl"]).item())
        values = method.validate({"image": image})
        torch.testing.assert_close(values["loss"], values["reconstruction"] + 2 * values["kl"])
    assert shares == pytest.approx([0, 0.5, 1, 1.5, 2, 2], abs=1e-2)
    other = _build(warmup=4, beta=2.0)
    other.load_extra_state(method.extra_state())
    assert other.updates == method.updates == 4


# The code.


def test_the_gradient_through_the_drawn_code_is_exact() -> None:
    """E z^2 = mean^2 + sigma^2: its slopes are 2 mean, and sigma^2 along log sigma^2."""
    mean = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64, requires_grad=True)
    log_var = torch.tensor([[-1.0, 0.4, 1.1]], dtype=torch.float64, requires_grad=True)
    expected = (2 * mean.detach(), log_var.detach().exp())
    torch.manual_seed(0)
    for noise, tolerance in ((fixed_noise(3, 3), 1e-12), (torch.randn(400_000, 3, dtype=torch.float64), 2e-2)):
        loss = reparametrise(mean, log_var, noise).square().mean(0).sum()
        for gradient, right in zip(torch.autograd.grad(loss, (mean, log_var)), expected, strict=True):
            torch.testing.assert_close(gradient, right, rtol=tolerance, atol=tolerance)


def test_the_fixed_points_stand_for_a_standard_normal() -> None:
    points = fixed_noise(5, 5)
    assert points.shape == (10, 5)
    torch.testing.assert_close(points.mean(0), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(points.T @ points / 10, torch.eye(5, dtype=torch.float64))
    few = fixed_noise(2, 64)
    assert few.shape == (4, 64)
    torch.testing.assert_close(few.norm(dim=1), torch.full((4,), 8.0, dtype=torch.float64))
    assert torch.equal(few, fixed_noise(2, 64)) and torch.equal(fixed_noise(9, 2), fixed_noise(2, 2))


def test_outside_training_the_code_is_its_mean() -> None:
    method, image = _build(), torch.rand(3, 2, 8, 8)
    mean, log_var = method.posterior(image)
    assert torch.equal(method.encode(image), mean)
    torch.testing.assert_close(method.uncertainty(image), torch.exp(0.5 * log_var))
    assert torch.equal(method.reconstruct(image), method.decode(mean))
    torch.testing.assert_close(method.anomaly(image)[0], (method.decode(mean) - image).abs().mean(1, keepdim=True))


def test_samples_are_codes_of_the_prior_drawn() -> None:
    method = _build()
    torch.manual_seed(3)
    made = method.sample(7)
    torch.manual_seed(3)
    torch.testing.assert_close(made, method.decode(torch.randn(7, 4)))


# Scores.


def test_the_elbo_of_a_sick_image_is_worse() -> None:
    torch.manual_seed(0)
    image = torch.rand(64, 1, 1, 1) * torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    method = _build((1, 8, 8), latent=2)
    _learn(method, image, 300, lr=5e-3)
    sick = image[:8].clone()
    sick[..., 2:4, 2:4] += 0.8
    healthy, found = method.scores(image[:8]), method.scores(sick)
    assert (found["elbo"] > healthy["elbo"]).all() and (found["latent_distance"] > 0).all()
    bound = torch.stack(method.bound(image[:8], None, fixed_noise(2, 2))).sum(0)
    torch.testing.assert_close(healthy["elbo"], bound)
    torch.testing.assert_close(healthy["kl"], kl_to_standard_normal(*method.posterior(image[:8])))


def test_scores_leave_out_where_the_foreground_never_was() -> None:
    method, image = _build((1, 8, 8), sigma=0.1), torch.rand(4, 1, 8, 8)
    foreground = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    foreground[:2, ..., :4] = True
    method.settle(
        [{"image": image[:3], "foreground": foreground[:3]}, {"image": image[3:], "foreground": foreground[3:]}]
    )
    assert method.seen[0, :, :4].unique().tolist() == [0.5] and not method.seen[0, :, 4:].any()
    changed = method.decode(method.encode(image))
    nll = method.likelihood(changed, image, method.seen)
    beyond = torch.where(method.seen[None] > 0, image, image + 5)
    torch.testing.assert_close(method.likelihood(changed, beyond, method.seen), nll)


# What it says of itself.


def test_moments_come_in_parts() -> None:
    torch.manual_seed(0)
    rows, moments = 100 + torch.randn(50, 3).double(), Moments()
    for part in rows.split([1, 20, 29]):
        moments.add(part)
    torch.testing.assert_close(moments.mean, rows.mean(0))
    torch.testing.assert_close(moments.variance, rows.var(0, correction=0))


def test_before_it_was_measured_it_says_nothing() -> None:
    assert _build().notes() == []


def test_a_collapsed_posterior_is_told_and_what_to_do() -> None:
    method, image = _build(objective="kl"), torch.rand(40, 2, 8, 8)
    _learn(method, image, 300)
    (note,) = method.notes()
    assert note.startswith("none of 4 code dimensions are in use (0.0 nats): the posterior has collapsed")
    assert "state a smaller method.sigma (learned: 0.1), lower method.beta, or raise method.warmup" in note
    assert not method.use.active().any()


def test_dimensions_in_use_are_counted() -> None:
    """Burda's rule on codes of known spread: variances 1, .04, .0121 and .0081 over the images, and none."""
    torch.manual_seed(0)
    rows = torch.randn(500, 5)
    rows = (rows - rows.mean(0)) / rows.std(0, correction=0)
    mean = rows * torch.tensor([1.0, 0.2, 0.11, 0.09, 0.0])
    method = _build()
    method.use = CodeUse(5)
    method.use.fit(mean, torch.zeros(500, 5), torch.tensor(0.1))
    assert method.use.active().tolist() == [True, True, True, False, False]
    torch.testing.assert_close(method.use.divergence, torch.tensor([0.5, 0.02, 0.00605, 0.00405, 0]), atol=1e-5, rtol=0)
    assert method.notes() == ["3 of 5 code dimensions are in use (0.5 nats)"]


def test_what_settle_measures_is_the_mean_codes_spread() -> None:
    torch.manual_seed(0)
    method, image = _build(), torch.rand(9, 2, 8, 8)
    method.settle([{"image": image[:4]}, {"image": image[4:]}])
    mean, log_var = method.posterior(image)
    torch.testing.assert_close(method.use.variance, mean.var(0, correction=0).detach())
    torch.testing.assert_close(method.use.divergence.sum(), kl_to_standard_normal(mean, log_var).mean().detach())
    assert method.use.count == 9 and method.codes.count == 9
    torch.testing.assert_close(method.use.contrast, image.var(0, correction=0).max())


@pytest.mark.parametrize(
    ("count", "words"),
    [(6, "the 6 training images are all the same: there is nothing to learn"), (1, "there is a single training image")],
)
def test_images_that_teach_nothing_are_told(count: int, words: str) -> None:
    method = _build((1, 8, 8))
    _learn(method, torch.full((count, 1, 8, 8), 0.4), 20)
    first, second = method.notes()
    assert first.startswith(words) and second.startswith("none of 4 code dimensions are in use")
    assert all(
        math.isfinite(value) for score in method.scores(torch.rand(2, 1, 8, 8)).values() for value in score.tolist()
    )


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_bare_squared_error_leaves_few_dimensions_in_use(seed: int) -> None:
    """The trap: sigma^2 = 1/2, what a bare squared error is, against a stated sigma^2 = .01 and a learned one."""
    images = _digits()
    used = {}
    for name, sigma in (("bare squared error", math.sqrt(0.5)), ("sigma^2 = .01", 0.1), ("learned", None)):
        method = _build((1, 8, 8), latent=32, hidden=[128], sigma=sigma)
        torch.manual_seed(seed)
        _learn(method, images, 4500)
        used[name] = int(method.use.active().sum())
    print(f"\nof 32 dimensions in use: {used}, n = {len(images)} images, seed {seed}")
    assert used["bare squared error"] <= 8 and min(used["sigma^2 = .01"], used["learned"]) >= 16


@pytest.mark.proof
def test_three_pictures_reconstruction_only_kl_only_both() -> None:
    """Reconstruction only draws sharpest but its codes do not lie at the prior; KL only draws nothing; both do both."""
    images, left, from_prior = _digits(), {}, {}
    for goal in ("reconstruction", "kl", "elbo"):
        method = _build((1, 8, 8), latent=16, hidden=[128], sigma=0.2, objective=goal)
        _learn(method, images, 1000)
        left[goal] = (method.reconstruct(images) - images).square().mean().item()
        from_prior[goal] = method.scores(images)["kl"].mean().item()
    print(f"\nsquared error a pixel {left}, KL in nats {from_prior}, n = {len(images)} images, seed 0")
    assert left["reconstruction"] < left["elbo"] < 0.5 * left["kl"]
    assert from_prior["kl"] < 0.01 < from_prior["elbo"] < 0.5 * from_prior["reconstruction"]
