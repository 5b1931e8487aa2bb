"""Seconds a step of CycleGAN and pix2pix: medudl's step beside a plain one of the same mathematics, in one process.

    python benchmarks/translation.py [--rounds 7] [--device auto|cpu|cuda] [--cases cyclegan pix2pix] [--batch 1]
                                     [--peak OPERATIONS] [--out translation.json]

cyclegan  ResNet of 9 blocks, PatchGAN-70, least squares, cycle 10, identity 5, pool of 50 images; 32 filters and
          128 x 128 on a CPU, 64 and 256 x 256 on a GPU.
pix2pix   U-Net of 64 filters (U-Net-128 on a CPU, U-Net-256 on a GPU), PatchGAN-70, least squares, L1 100.

plain  as the papers' code does it, eager float32: torch's own layers (instance norm, reflection padding, enlarge and
       then convolve), a bias in front of each norm, one pass for each image, torch.optim.Adam, discriminators without
       gradients in the generators' turn.
fp32, bf16, on a GPU also bf16 compiled: medudl's step (`train_step`, the method, its players) from the same weights on
       the same images.

A step is one update of every player, Adam (2e-4; .5, .999). No loss has the factor 1/2 that the papers give those of D:
Adam does not see it. Each round times a step of every loop, the order turned by one a round; on a CPU in CPU seconds of
the process on one thread, on a GPU 10 steps in wall seconds between two synchronisations. Figures are medians of the
rounds, and the ratio that of two medians. On a GPU the share of the chip's dense bf16 peak is given: multiplications
and additions of the plain step, counted by torch, over the time a step took. Work that medudl leaves out counts as
done.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from medudl.batch import Batch
from medudl.config import Optimiser, Train
from medudl.methods.adversarial import signed
from medudl.methods.cyclegan import CycleGAN
from medudl.methods.method import Method
from medudl.methods.pix2pix import Pix2Pix
from medudl.networks.patch_discriminator import PatchDiscriminator
from medudl.networks.resnet_generator import ResNetGenerator
from medudl.networks.unet_generator import UNetGenerator
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.tricks.experience_replay import ImageReplay

RATE, BETAS = 2e-4, (0.5, 0.999)
CYCLE, IDENTITY, L1, POOL = 10.0, 5.0, 100.0, 50
SHAPES = {"cpu": {"cyclegan": (128, 32), "pix2pix": (128, 64)}, "cuda": {"cyclegan": (256, 64), "pix2pix": (256, 64)}}
GOALS = {("cyclegan", "fp32"): 0.95, ("pix2pix", "fp32"): 0.8, ("cyclegan", "bf16"): 0.7, ("pix2pix", "bf16"): 0.65}
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 operations a second, by the maker's data sheets

Step = Callable[[], None]


class PlainResidual(nn.Module):
    """x + two convolutions with what belongs to them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S)."""
        return x + self.body(x)


def plain_resnet(width: int, blocks: int) -> nn.Module:
    w = width
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(1, w, 7), nn.InstanceNorm2d(w), nn.ReLU(True),
        nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU(True),
        nn.Conv2d(2 * w, 4 * w, 3, 2, 1), nn.InstanceNorm2d(4 * w), nn.ReLU(True),
        *(PlainResidual(4 * w) for _ in range(blocks)),
        nn.Upsample(scale_factor=2), nn.Conv2d(4 * w, 2 * w, 3, 1, 1), nn.InstanceNorm2d(2 * w), nn.ReLU(True),
        nn.Upsample(scale_factor=2), nn.Conv2d(2 * w, w, 3, 1, 1), nn.InstanceNorm2d(w), nn.ReLU(True),
        nn.ReflectionPad2d(3), nn.Conv2d(w, 1, 7), nn.Tanh(),
    )  # fmt: skip


class PlainUNet(nn.Module):
    """Down, and up beside the skips."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        w = [width * min(8, 2**i) for i in range(depth)]
        self.down = nn.ModuleList([nn.Conv2d(1, width, 4, 2, 1)])
        for i in range(1, depth):
            layers = [nn.LeakyReLU(0.2, True), nn.Conv2d(w[i - 1], w[i], 4, 2, 1)]
            self.down.append(nn.Sequential(*layers, *([nn.InstanceNorm2d(w[i])] if i < depth - 1 else [])))
        self.up = nn.ModuleList()
        for i in reversed(range(depth)):
            inputs, outputs = w[i] * (1 if i == depth - 1 else 2), w[i - 1] if i else 1
            end = nn.InstanceNorm2d(outputs) if i else nn.Tanh()
            enlarge = nn.Upsample(scale_factor=2)
            self.up.append(nn.Sequential(nn.ReLU(True), enlarge, nn.Conv2d(inputs, outputs, 3, 1, 1), end))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S)."""
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.up[0](x)
        for up, skip in zip(self.up[1:], skips[-2::-1], strict=True):
            x = up(torch.cat([skip, x], 1))
        return x


def plain_patches(channels: int, width: int) -> nn.Module:
    w = width
    return nn.Sequential(
        nn.Conv2d(channels, w, 4, 2, 1), nn.LeakyReLU(0.2, True),
        nn.Conv2d(w, 2 * w, 4, 2, 1), nn.InstanceNorm2d(2 * w), nn.LeakyReLU(0.2, True),
        nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.InstanceNorm2d(4 * w), nn.LeakyReLU(0.2, True),
        nn.Conv2d(4 * w, 8 * w, 4, 1, 1), nn.InstanceNorm2d(8 * w), nn.LeakyReLU(0.2, True),
        nn.Conv2d(8 * w, 1, 4, 1, 1),
    )  # fmt: skip


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def plain_of(own: Any) -> nn.Module:
    """The plain network with the weights of one of medudl's."""
    layers, plain = convolutions(own), None
    width = layers[0].out_channels
    if isinstance(own, ResNetGenerator):
        plain = plain_resnet(width, (len(layers) - 6) // 2)
    elif isinstance(own, UNetGenerator):
        plain = PlainUNet(width, len(own.down))
    else:
        assert isinstance(own, PatchDiscriminator)
        plain = plain_patches(layers[0].in_channels, width)
    with torch.no_grad():
        for a, b in zip(layers, convolutions(plain), strict=True):
            b.weight.copy_(a.weight)
            assert b.bias is not None
            b.bias.zero_() if a.bias is None else b.bias.copy_(a.bias)
    return plain.to(layers[0].weight.device)


class PlainPool:
    """The published image pool."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        """New ones, or old ones whose places they take."""
        shown = []
        for image in images.unbind():
            if len(self.images) < POOL:
                self.images.append(image)
                shown.append(image)
            elif random.random() > 0.5:
                place = random.randrange(POOL)
                shown.append(self.images[place])
                self.images[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


class Plain:
    """What both plain methods need: networks, optimisers, losses."""

    def __init__(self, generators: list[nn.Module], discriminators: list[nn.Module], batch: Batch) -> None:
        self.generators, self.discriminators = [[plain_of(n) for n in own] for own in (generators, discriminators)]
        self.opt_g, self.opt_d = (
            torch.optim.Adam([p for n in networks for p in n.parameters()], RATE, betas=BETAS)
            for networks in (self.generators, self.discriminators)
        )
        self.x, self.y = signed(batch["image"]), signed(batch["target"])

    def __call__(self) -> None:
        """One step."""
        raise NotImplementedError

    def judged(self, needed: bool) -> None:
        """Whether the discriminators get gradients."""
        for network in self.discriminators:
            for parameter in network.parameters():
                parameter.requires_grad = needed


def wants(logits: Tensor, target: float) -> Tensor:
    return F.mse_loss(logits, torch.full_like(logits, target))


class PlainCycleGAN(Plain):
    """One step as the paper's code does it."""

    def __init__(self, method: CycleGAN, batch: Batch) -> None:
        sides = ("target", "source")
        super().__init__([method.generator[s] for s in sides], [method.judges[s] for s in sides], batch)
        self.pools = [PlainPool(), PlainPool()]

    def __call__(self) -> None:
        """G and F, then D_Y and D_X."""
        (g, f), (d_y, d_x), x, y = self.generators, self.discriminators, self.x, self.y
        fake_y = g(x)
        back_x = f(fake_y)
        fake_x = f(y)
        back_y = g(fake_x)
        self.judged(False)
        self.opt_g.zero_grad()
        loss = IDENTITY * (F.l1_loss(g(y), y) + F.l1_loss(f(x), x))
        loss = loss + wants(d_y(fake_y), 1) + wants(d_x(fake_x), 1)
        loss = loss + CYCLE * (F.l1_loss(back_x, x) + F.l1_loss(back_y, y))
        loss.backward()
        self.opt_g.step()
        self.judged(True)
        self.opt_d.zero_grad()
        for d, real, fake, pool in ((d_y, y, fake_y, self.pools[0]), (d_x, x, fake_x, self.pools[1])):
            shown = pool.query(fake.detach())
            (wants(d(real), 1) + wants(d(shown), 0)).backward()
        self.opt_d.step()


class PlainPix2Pix(Plain):
    """One step as the paper's code does it."""

    def __init__(self, method: Pix2Pix, batch: Batch) -> None:
        assert method.discriminator is not None
        super().__init__([method.generator], [method.discriminator], batch)

    def __call__(self) -> None:
        """D, then G."""
        (g,), (d,), x, y = self.generators, self.discriminators, self.x, self.y
        fake = g(x)
        self.judged(True)
        self.opt_d.zero_grad()
        (wants(d(torch.cat([x, fake.detach()], 1)), 0) + wants(d(torch.cat([x, y], 1)), 1)).backward()
        self.opt_d.step()
        self.judged(False)
        self.opt_g.zero_grad()
        (wants(d(torch.cat([x, fake], 1)), 1) + L1 * F.l1_loss(fake, y)).backward()
        self.opt_g.step()


def method_of(case: str, side: int, width: int, device: str, blocks: int = 9) -> Any:
    """From one seed."""
    torch.manual_seed(0)
    own: Any
    if case == "cyclegan":
        own = CycleGAN(
            (1, side, side), width=width, blocks=blocks, discriminator_width=width, cycle=CYCLE, identity=IDENTITY
        )
    else:
        own = Pix2Pix((1, side, side), width=width, depth=side.bit_length() - 1, discriminator_width=width, l1=L1)
    return own.to(device)


def images(side: int, size: int, device: str) -> Batch:
    """A batch of noise that is smooth enough to be no label map and no constant."""
    chance = torch.Generator().manual_seed(0)
    image, target = (torch.rand(size, 1, side, side, generator=chance).to(device) for _ in range(2))
    return {"image": image, "target": target, "id": [f"{i}" for i in range(size)]}


def plain(method: Method, batch: Batch) -> Plain:
    """The plain method with the weights of ours."""
    if isinstance(method, CycleGAN):
        return PlainCycleGAN(method, batch)
    assert isinstance(method, Pix2Pix)
    return PlainPix2Pix(method, batch)


def ours(method: Method, batch: Batch, device: str, precision: str = "fp32", compiled: bool = False) -> Step:
    """The step of medudl."""
    fabric = launch(Train.model_validate({"device": device, "precision": precision}))
    settings = Optimiser(lr=RATE, betas=BETAS)
    tricks = [ImageReplay(size=POOL)] if isinstance(method, CycleGAN) else []
    for trick in tricks:
        trick.setup(method.players())
    method.join(tricks)
    players = {name: Player(fabric, name, module, settings) for name, module in method.players().items()}
    if compiled:
        for module in method.modules():
            if isinstance(module, (ResNetGenerator, UNetGenerator, PatchDiscriminator)):
                module.compile()

    def step() -> None:
        train_step(fabric, method, players, tricks, batch, lambda: False)

    return step


def clock(device: str) -> float:
    """Seconds: of the process on a CPU, on the wall once a GPU is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(case: str, device: str, size: int, rounds: int, peak: float | None) -> dict[str, Any]:
    """Median seconds a step of each loop, and its share of the plain one's."""
    side, width = SHAPES[device][case]
    batch, chunk = images(side, size, device), 1 if device == "cpu" else 10

    def fresh() -> Any:
        return method_of(case, side, width, device)

    loops: dict[str, Step] = {"plain": plain(fresh(), batch)}
    for precision in ("fp32", "bf16"):
        loops[precision] = ours(fresh(), batch, device, precision)
    if device == "cuda":
        loops["bf16 compiled"] = ours(fresh(), batch, device, "bf16", compiled=True)
    names, times = list(loops), {name: [] for name in loops}  # type: ignore[var-annotated]
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = clock(device)
            for _ in range(chunk):
                loops[name]()
            times[name].append((clock(device) - begun) / chunk)
    seconds = {name: statistics.median(found[1:]) for name, found in times.items()}  # the first round warms up
    result: dict[str, Any] = {"case": case, "side": side, "width": width, "batch": size, "seconds": seconds}
    result["of_plain"] = {name: found / seconds["plain"] for name, found in seconds.items()}
    if peak is not None:
        with FlopCounterMode(display=False) as counter:
            loops["plain"]()
        result["operations"] = counter.get_total_flops()
        result["share_of_peak"] = {n: result["operations"] / found / peak for n, found in seconds.items()}
    return result


def show(result: dict[str, Any], device: str) -> None:
    """One line a loop."""
    print(f"{result['case']}: {result['side']} x {result['side']}, width {result['width']}, batch {result['batch']}")
    for name, found in result["seconds"].items():
        ratio, goal = result["of_plain"][name], GOALS.get((result["case"], name)) if device == "cpu" else None
        told = "" if goal is None else f", goal {goal}: {'met' if ratio <= goal else 'missed'}"
        share = result.get("share_of_peak", {}).get(name)
        told += "" if share is None else f", {100 * share:.1f} % of the peak"
        print(f"  {name:<14}{found:8.4f} s, {result['batch'] / found:7.2f} images/s, {ratio:.2f} of plain{told}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--cases", nargs="+", choices=list(SHAPES["cpu"]), default=list(SHAPES["cpu"]))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--peak", type=float, default=None, help="operations a second; default by the GPU's name")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    options = parser.parse_args()
    cuda = torch.cuda.is_available() if options.device == "auto" else options.device == "cuda"
    device, peak = "cuda" if cuda else "cpu", options.peak
    name = torch.cuda.get_device_name() if cuda else "cpu"
    if peak is None:
        peak = next((most for known, most in PEAK.items() if known in name), None)
    torch.set_num_threads(1)
    results = []
    for case in options.cases:
        results.append(measure(case, device, options.batch, options.rounds, peak))
        show(results[-1], device)
    report = {"torch": torch.__version__, "device": name, "rounds": options.rounds, "peak": peak, "results": results}
    print(json.dumps(report))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
