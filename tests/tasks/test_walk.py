"""The walker draws what the method draws, in both numbers of dimensions, and says what it cannot."""

import numpy as np
import pytest
import torch
import toys
from tiny_run import make_cohort, make_run, tiny_config

from medudl.errors import UserError
from medudl.tasks.walk import Walker

VAE = {"name": "variational_autoencoder", "network": "dense", "hidden": [8], "latent": 4}


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    cohort = make_cohort(folder / "scans", train=1, val=1, healthy=0, sick=0)
    flat = make_run(folder / "flat", cohort, tiny_config().model_copy(update={"method": VAE}))
    deep = tiny_config(view="volume", size=[6, 16, 12]).model_copy(update={"method": VAE})
    return Walker(flat.path), Walker(make_run(folder / "deep", cohort, deep, (1, 6, 16, 12)))


def _grey(image: torch.Tensor) -> np.ndarray:
    return (image.detach().clamp(0, 1) * 255).round().numpy()


def test_pictures_are_the_methods_own(walkers):
    flat, deep = walkers
    assert (flat.latent, flat.dims, deep.dims) == (4, 2, 3)
    codes = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(flat.decode(codes.tolist()), flat.decode(codes.numpy()))
    with torch.no_grad():
        assert np.array_equal(flat.decode(codes), _grey(flat.method.decode(codes)[:, 0]))
        whole = deep.method.decode(codes)[:, 0]  # (5, D, H, W)
    assert np.array_equal(deep.decode(codes), _grey(whole[:, 3]))
    assert np.array_equal(deep.decode(codes, plane=1, slice=2), _grey(whole[:, :, 2]))
    assert np.array_equal(deep.decode(codes, plane=2), _grey(whole[:, :, :, 6]))
    assert np.allclose(deep.volume(codes[0])[0], whole[0], atol=1e-6)


def test_a_grid_and_a_line_hold_the_pictures_of_their_codes(walkers):
    flat, _ = walkers
    code, sigma = np.array([0.1, -0.4, 0.0, 1.0], np.float32), [1, 2, 3, 4]
    grid = flat.traverse(code, [2, 0], [-1, 0, 1], sigma)
    assert grid.shape == (3, 3, 16, 16)
    assert np.array_equal(grid[0, 2], flat.decode(code + np.array([1, 0, -3, 0], np.float32))[0])
    assert np.array_equal(flat.traverse(code, [1], [-2, 0], sigma)[0], flat.decode(code - np.array([0, 4, 0, 0]))[0])
    line = flat.interpolate(code, -code, 5)
    assert np.array_equal(line[[0, 2, 4]], flat.decode(np.stack([code, 0 * code, -code])))


def test_the_nearest_row_counts_in_sigma_and_only_in_dimensions_in_use(walkers):
    flat, _ = walkers
    embedding = np.array([[0, 0, 0, 90], [10, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    code = np.array([[6, 0.4, 0, 0]], np.float32)
    assert flat.nearest(code, embedding, [1, 1, 1, 1], [0, 1]).tolist() == [1]
    assert flat.nearest(code, embedding, [100, 1, 1, 1], [0, 1]).tolist() == [1]
    assert flat.nearest(code, embedding, [100, 0.1, 1, 1], [1, 2]).tolist() == [0]


def test_samples_follow_their_seed_and_leave_the_random_state_alone(walkers):
    flat, _ = walkers
    state = torch.get_rng_state()
    assert np.array_equal(flat.sample(3, seed=1), flat.sample(3, seed=1))
    assert not np.array_equal(flat.sample(3, seed=1), flat.sample(3, seed=2))
    assert torch.equal(state, torch.get_rng_state())


def test_what_cannot_be_is_one_line(walkers, tmp_path, monkeypatch):
    flat, deep = walkers
    for wrong in (
        lambda: flat.decode([1, 2, 3]),
        lambda: flat.decode([[np.nan] * 4]),
        lambda: flat.traverse(np.zeros(4), [7], [0], np.ones(4)),
        lambda: deep.decode(np.zeros(4), plane=3),
        lambda: deep.decode(np.zeros(4), slice=6),
        lambda: Walker(tmp_path),
    ):
        with pytest.raises(UserError) as told:
            wrong()
        assert "\n" not in str(told.value)
    toys.register(monkeypatch)
    config = tiny_config().model_copy(update={"method": {"name": "toy_wasserstein"}})
    walker = Walker(make_run(tmp_path / "run", flat.run.path / "cohort.csv", config))
    assert walker.latent == 0 and walker.sample(2).shape == (2, 16, 16)
    with pytest.raises(UserError, match="no picture of a code"):
        walker.decode(np.zeros((1, 0)))
    config = tiny_config()
    with pytest.raises(UserError, match="no images of its own"):
        Walker(make_run(tmp_path / "run2", flat.run.path / "cohort.csv", config)).sample(1)


def test_a_generator_draws_codes_though_it_encodes_nothing(walkers, tmp_path):
    config = tiny_config().model_copy(update={"method": {"name": "gan", "latent": 5, "width": 4}})
    walker = Walker(make_run(tmp_path / "run", walkers[0].run.path / "cohort.csv", config))
    assert walker.latent == 5 and "encode" not in walker.verbs
    assert walker.decode(np.zeros((3, 5))).shape == (3, 16, 16)
    assert walker.interpolate(np.zeros(5), np.ones(5), 4).shape == (4, 16, 16)
