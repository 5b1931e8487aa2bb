"""Scale, planes and groups of codes: known answers, limits that are said, and no noise from unused dimensions."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from medudl.tasks import projections
from medudl.tasks.clusters import compare, grouped, kmeans, pixels
from medudl.tasks.projections import Scale, pca, project, trustworthiness


def _blobs(n: int = 120, dims: int = 6, centres: int = 3, seed: int = 0):
    points, names = make_blobs(n, dims, centers=centres, cluster_std=0.6, random_state=seed)
    return points.astype(np.float32), names


def test_pca_is_that_of_scikit_learn_up_to_signs_that_are_fixed():
    codes, _ = _blobs()
    plane, explained = pca(codes)
    reference = PCA(2).fit(codes)
    assert np.abs(plane) == pytest.approx(np.abs(reference.transform(codes)), abs=1e-3)
    assert explained == pytest.approx(reference.explained_variance_ratio_, abs=1e-5)
    for seed in range(6):
        codes, _ = _blobs(seed=seed)
        for axis in pca(codes)[0].T:  # towards larger values of the dimension that it depends on most
            leaning = (codes - codes.mean(axis=0)).T @ axis
            assert leaning[np.abs(leaning).argmax()] > 0


@pytest.mark.parametrize(("n", "dims"), [(1, 4), (2, 1), (3, 3), (30, 1), (8, 0)])
def test_few_items_and_few_dimensions(n, dims):
    codes = np.random.default_rng(0).normal(size=(n, dims)).astype(np.float32)
    made = project(codes, 0) if n < 5 or dims == 0 else None
    assert projections.tsne(codes, 0).shape == (n, 2) if dims == 1 and n > 4 else True
    plane, explained = pca(codes)
    assert plane.shape == (n, 2) and np.isfinite(plane).all() and 0 <= sum(explained) <= 1 + 1e-9
    if made is not None:
        assert set(made.left_out) == {"umap", "tsne"} and list(made.planes) == ["pca"]
    assert grouped(codes, 0).numbers.shape == (n,)


def test_dimensions_that_are_not_in_use_say_nothing():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 4)).astype(np.float32) * [3, 0.01, 1, 0.05]
    spread = np.full((200, 4), 0.5, np.float32)
    spread[:, 0] = 2.0  # a wide posterior: the third dimension carries more signal than the first
    scale = Scale.of(codes.astype(np.float32), spread)
    assert scale.active == 2 and scale.used.tolist() == [2, 0] and scale.order.tolist()[:2] == [2, 0]
    assert scale(codes).std(axis=0) == pytest.approx([1, 1], abs=1e-3)
    plain = Scale.of(codes.astype(np.float32))
    assert plain.active is None and plain.order.tolist() == [0, 2, 3, 1] and len(plain.used) == 4
    constant = np.concatenate([codes, np.full((200, 1), 7.0)], axis=1).astype(np.float32)
    assert 4 not in Scale.of(constant).used


def test_a_collapsed_code_has_no_dimension_in_use_and_nothing_breaks():
    scale = Scale.of(np.full((30, 3), 0.2, np.float32), np.ones((30, 3), np.float32))
    scaled = scale(np.full((30, 3), 0.2, np.float32))
    assert scale.active == 0 and scaled.shape == (30, 0)
    made = project(scaled, 0)
    assert "same code" in made.left_out["tsne"] and not made.planes["pca"].any()
    assert grouped(scaled, 0).k == 0


def test_tsne_keeps_blobs_apart_and_trust_tells_a_good_plane_from_a_bad_one(monkeypatch):
    monkeypatch.setitem(projections.LIMITS, "umap", 0)
    codes, names = _blobs()
    made = project(codes, 0)
    assert adjusted_rand_score(names, kmeans(made.planes["tsne"], 3, 0)) > 0.95
    shuffled = np.random.default_rng(0).permutation(made.planes["tsne"])
    assert made.trust["tsne"] > 0.9 > 0.6 > trustworthiness(codes, shuffled, 0)
    assert made.planes["tsne"].tobytes() == project(codes, 0).planes["tsne"].tobytes()


def test_what_is_left_out_says_why(monkeypatch):
    monkeypatch.setitem(projections.LIMITS, "tsne", 100)
    monkeypatch.setattr(projections.importlib.util, "find_spec", lambda name: None)
    made = project(_blobs()[0], 0)
    assert list(made.planes) == ["pca"]
    assert "120 items would take too long" in made.left_out["tsne"] and "medudl[explore]" in made.left_out["umap"]


@pytest.mark.proof
def test_umap_keeps_blobs_apart():
    codes, names = _blobs(dims=60)
    made = project(codes, 0)
    found = adjusted_rand_score(names, kmeans(made.planes["umap"], 3, 0))
    print(f"\nUMAP, three blobs: adjusted Rand {found:.2f}, trust {made.trust['umap']:.3f}; n = 120, seed 0")
    assert found > 0.95 and made.planes["umap"].shape == (120, 2)


def test_the_number_of_groups_is_found_and_groups_agree_with_what_is_known():
    codes, names = _blobs(n=150, centres=4, seed=3)
    found = grouped(codes, 0)
    assert found.k == 4 and adjusted_rand_score(names, found.numbers) == 1
    assert np.bincount(found.numbers)[1:].tolist() == sorted(np.bincount(found.numbers)[1:], reverse=True)
    pictures = np.random.default_rng(0).integers(0, 255, (150, 40, 30), np.uint8)
    known = {"label": [f"class {n}" for n in names], "modality": ["MR"] * 150,
             "contrast": ["" if n < 100 else "T1" if n % 2 else "T2" for n in range(150)]}  # fmt: skip
    about = compare(found, pictures, 6, known, [str(n // 3) for n in range(150)], 0)
    assert set(about["against"]) == {"label", "contrast"}  # one modality is no grouping
    assert about["against"]["label"]["adjusted_rand"] == 1 and about["against"]["label"]["n"] == 50
    assert about["against"]["contrast"]["items"] == 50 and about["against"]["contrast"]["n"] == 17
    assert abs(about["baselines"]["pixels"]["label"]["adjusted_rand"]) < 0.1  # of noise


def test_pixels_are_box_means():
    pictures = np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64) % 200
    small = pixels(pictures)
    assert small.shape == (1, 32 * 32)
    assert small[0, 0] == pytest.approx(pictures[0, :2, :2].mean() / 255, abs=1e-3)
    assert pixels(np.full((2, 28, 28), 255, np.uint8)).tolist() == np.ones((2, 784)).tolist()
