"""Every method keeps the contract: all of METHODS, and the toys that use what the real ones do not yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from contract_cases import CASES
from flow import ForkWatch, adam, train, turns
from torch import Tensor, nn
from toys import TOYS, register

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import METHODS, build, method_class
from medudl.methods.method import VERBS, Method, Objective

SHAPES = {2: (2, 12, 10), 3: (1, 8, 6, 5)}  # sides that no stride divides
NAMES = [name for name, _ in CASES]


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def _label(value: object) -> str:
    return "-".join(str(v) for v in value.values() if isinstance(v, str)) if isinstance(value, dict) else str(value)


every_case = pytest.mark.parametrize(
    ("name", "options", "dims"), [(n, o, d) for n, o in CASES for d in (2, 3)], ids=_label
)


def _method(name: str, options: dict[str, Any], dims: int, seed: int = 0) -> Method:
    if dims not in method_class(name).dims:
        pytest.skip(f"{name} has no {dims}-D form")
    torch.manual_seed(seed)
    return build(name, SHAPES[dims], options)


def _batch(dims: int, foreground: bool = True) -> Batch:
    """Eight soft blobs of unequal place and brightness, on black; two of them share nothing but their kind."""
    shape = SHAPES[dims]
    places = torch.Generator().manual_seed(7)
    axes = torch.meshgrid(*(torch.linspace(-1, 1, s) for s in shape[1:]), indexing="ij")
    centre = torch.rand(8, dims, *[1] * dims, generator=places) - 0.5
    squared = (torch.stack(axes)[None] - centre).square().sum(1, keepdim=True)
    strength = 0.5 + 0.5 * torch.rand(8, shape[0], *[1] * dims, generator=places)
    batch: Batch = {"image": strength * torch.exp(-2 * squared), "id": [str(i) for i in range(8)]}
    batch["target"] = 0.2 + 0.6 * batch["image"].mean(1, keepdim=True).sqrt()
    batch["label"] = (centre.flatten(1)[:, 0] > centre.flatten(1)[:, 0].median()).long()
    if foreground:
        batch["foreground"] = squared < 1
    return batch


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_every_method_is_tried() -> None:
    assert set(NAMES) == set(METHODS)
    assert set(TOYS) < set(METHODS)


@every_case
@pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "everything"])
def test_objectives_are_finite(name: str, options: dict[str, Any], dims: int, foreground: bool) -> None:
    method = _method(name, options, dims)
    seen: list[str] = []

    def finite(objective: Objective) -> None:
        seen.append(objective.player)
        assert objective.parts
        assert all(part.ndim == 0 and part.isfinite() and not part.requires_grad for part in objective.parts.values())
        assert objective.loss is None or (objective.loss.ndim == 0 and objective.loss.isfinite())
        gradients = [p.grad for p in method.players()[objective.player].parameters() if p.grad is not None]
        assert gradients and all(g.isfinite().all() for g in gradients)
        assert any(g.abs().sum() > 0 for g in gradients)

    optimisers = adam(method, 1e-3)
    for phase in method.phases():
        method.enter_phase(phase)
        turns(method, _batch(dims, foreground), optimisers, finite)
    assert set(seen) == set(method.players())


@every_case
def test_a_turn_moves_its_own_player_only(name: str, options: dict[str, Any], dims: int) -> None:
    method = _method(name, options, dims)
    optimisers = adam(method, 1e-2)
    movers: list[str] = []
    snapshots: list[dict[str, dict[str, Tensor]]] = []

    def look(objective: Objective | None) -> None:
        snapshots.append({player: _parameters(module) for player, module in method.players().items()})
        movers.extend([objective.player] if objective else [])

    for phase in method.phases():
        method.enter_phase(phase)
        turns(method, _batch(dims), optimisers, look)
    look(None)
    assert movers
    for mover, before, after in zip(movers, snapshots[:-1], snapshots[1:], strict=True):
        moved = {player for player in before if not _equal(before[player], after[player])}
        assert moved == {mover}


@every_case
def test_players_share_no_parameter_and_leave_none_out(name: str, options: dict[str, Any], dims: int) -> None:
    method = _method(name, options, dims)
    owned = [id(p) for module in method.players().values() for p in module.parameters()]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in method.parameters() if p.requires_grad}


@every_case
def test_same_seed_same_result(name: str, options: dict[str, Any], dims: int) -> None:
    results = []
    for _ in range(2):
        method = _method(name, options, dims, seed=3)
        train(method, _batch(dims), 4)
        results.append(_weights(method))
    assert _equal(*results)


@every_case
def test_state_round_trip(name: str, options: dict[str, Any], dims: int) -> None:
    batch = _batch(dims)
    trained = _method(name, options, dims, seed=1)
    train(trained, batch, 4)
    fresh = _method(name, options, dims, seed=2)
    assert not _equal(_weights(fresh), _weights(trained))
    fresh.load_state_dict(trained.state_dict())
    fresh.load_extra_state(trained.extra_state())
    fresh.enter_phase(trained.phases()[-1])
    for method in (fresh, trained):
        torch.manual_seed(5)
        method.train()
        optimisers = adam(method, 1e-3)
        for _ in range(2):
            turns(method, batch, optimisers, lambda _: None)
    assert _equal(_weights(fresh), _weights(trained))
    assert str(fresh.extra_state()) == str(trained.extra_state())


@every_case
def test_monitor_improves(name: str, options: dict[str, Any], dims: int) -> None:
    """At the end; in a game, which comes to no rest, at the best of looks every 10 steps, as training keeps it."""
    method, batch = _method(name, options, dims), _batch(dims)
    steps = 60 if name not in TOYS else 400
    method.eval()
    for phase in method.phases():
        method.enter_phase(phase)
        before = method.validate(batch)[method.monitor].mean()
        method.train()
        optimisers = adam(method, 3e-3)
        looks, found = range(10, steps + 1, 10) if len(method.players()) > 1 else [steps], []
        for step in range(1, steps + 1):
            turns(method, batch, optimisers, lambda _: None)
            if step in looks:
                method.eval()
                found.append(method.validate(batch)[method.monitor].mean())
                method.train()
        after = torch.stack(found).min()
        method.eval()
        assert after < before - 0.1 * before.abs(), (phase.name, before, after)


@every_case
@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_never_yields_inside_a_context(
    name: str, options: dict[str, Any], dims: int, autocast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, watch = _method(name, options, dims), ForkWatch(monkeypatch)
    for phase in method.phases():
        method.enter_phase(phase)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            count = 0
            for objective in method.step(_batch(dims)):
                watch.check(autocast)
                assert all(part.isfinite() for part in objective.parts.values())
                assert all(g.dtype == torch.float32 for g in (objective.gradients or {}).values())
                count += 1
            assert count


@every_case
@pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "everything"])
def test_validate_has_no_side_effects(name: str, options: dict[str, Any], dims: int, foreground: bool) -> None:
    method, batch = _method(name, options, dims), _batch(dims, foreground)
    train(method, batch, 2)
    method.zero_grad()
    weights, random, extra = _weights(method), torch.get_rng_state(), str(method.extra_state())
    learning = [p.requires_grad for p in method.parameters()]
    image = batch["image"].clone()
    first = method.validate(batch)
    assert method.monitor in first
    assert all(v.shape == (8,) and not v.requires_grad and v.isfinite().all() for v in first.values())
    assert _equal(weights, _weights(method))
    assert torch.equal(random, torch.get_rng_state())
    assert extra == str(method.extra_state())
    assert torch.equal(image, batch["image"])
    assert not method.training and all(p.grad is None for p in method.parameters())
    assert learning == [p.requires_grad for p in method.parameters()]
    torch.manual_seed(99)
    again = method.validate(batch)
    assert _equal(first, again), "validate depends on the random state"


@every_case
def test_step_leaves_the_batch_as_it_is(name: str, options: dict[str, Any], dims: int) -> None:
    method, batch, untouched = _method(name, options, dims), _batch(dims), _batch(dims)
    train(method, batch, 2)
    assert torch.equal(batch["image"], untouched["image"])
    assert torch.equal(batch["foreground"], untouched["foreground"])


@every_case
@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
@torch.no_grad()
def test_verbs_keep_shapes(name: str, options: dict[str, Any], dims: int, autocast: bool) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        _check_verbs(name, options, dims)


def _check_verbs(name: str, options: dict[str, Any], dims: int) -> None:
    method = _method(name, options, dims).eval()
    image = _batch(dims)["image"][:3]
    verbs = method.verbs()
    assert verbs and set(verbs) <= set(VERBS)
    if "translate" in verbs:
        target = method.translate(image)  # type: ignore[attr-defined]
        assert target.shape == (3, 1, *image.shape[2:]) and target.dtype == torch.float32
    if "back" in verbs:
        assert method.back(target).shape == image.shape  # type: ignore[attr-defined]
    for verb in {"reconstruct", "denoise"} & set(verbs):
        out = getattr(method, verb)(image)
        assert out.shape == image.shape and out.dtype == torch.float32
    if "encode" in verbs:
        code = method.encode(image)  # type: ignore[attr-defined]
        assert code.ndim == 2 and len(code) == 3 and code.shape[1] < math.prod(image.shape[1:])
    if "decode" in verbs:
        assert {"encode", "sample"} & set(verbs)
        # A generator has no code of an image, but draws codes.
        code = method.encode(image) if "encode" in verbs else method.draw(3)  # type: ignore[attr-defined]
        assert code.ndim == 2 and len(code) == 3
        drawn = method.decode(code)  # type: ignore[attr-defined]
        assert drawn.shape == image.shape and drawn.dtype == torch.float32
    if "uncertainty" in verbs:
        spread = method.uncertainty(image)  # type: ignore[attr-defined]
        assert spread.shape == method.encode(image).shape and spread.min() > 0  # type: ignore[attr-defined]
    assert set(method.scores(image)) == set(type(method).score_names)
    assert all(value.shape == (3,) and value.dtype == torch.float32 for value in method.scores(image).values())
    if "sample" in verbs:
        samples = method.sample(5)  # type: ignore[attr-defined]
        assert samples.shape == (5, *SHAPES[dims]) and samples.dtype == torch.float32
    if "classify" in verbs:
        assert method.classify(image).ndim == 2  # type: ignore[attr-defined]
    if "anomaly" in verbs:
        heat, score = method.anomaly(image)  # type: ignore[attr-defined]
        assert heat.shape == (3, 1, *SHAPES[dims][1:]) and heat.min() >= 0
        assert score.shape == (3,) and heat.dtype == score.dtype == torch.float32


# The checks themselves can fail.


class Offender(Method):
    """Yields inside whatever context it is given."""

    def __init__(self, context: str) -> None:
        super().__init__((1, 2, 2))
        self.weight = nn.Parameter(torch.ones(()))
        self.context = context

    def players(self) -> dict[str, nn.Module]:
        return {"offender": self}

    def step(self, batch: Batch) -> Iterator[Objective]:
        contexts = {
            "no_grad": torch.no_grad,
            "inference_mode": torch.inference_mode,
            "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
            "fork_rng": lambda: torch.random.fork_rng(),
        }
        with contexts[self.context]():
            yield Objective("offender", self.weight.square())

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": batch["image"].flatten(1).sum(1)}


@pytest.mark.parametrize("context", ["no_grad", "inference_mode", "autocast", "fork_rng"])
def test_the_check_sees_an_offender(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ForkWatch(monkeypatch)
    flow = Offender(context).step({"image": torch.zeros(1, 1, 2, 2)})
    next(flow)
    with pytest.raises(AssertionError, match=context):
        watch.check(autocast=False)
    flow.close()
    watch.check(autocast=False)


def test_a_method_says_which_dims_it_takes() -> None:
    with pytest.raises(UserError, match=r"2-D or 3-D images, these are 1-D"):
        build("autoencoder", (1, 16), {})
