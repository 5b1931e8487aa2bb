"""Generative adversarial network of convolutions (DCGAN)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from medudl.batch import Batch
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import Adversarial, signed, unsigned
from medudl.methods.discrete import refuse_discrete
from medudl.methods.method import Objective
from medudl.methods.pixel_kernel import kernel_distance, small
from medudl.networks.dcgan import Discriminator, Generator, Upsampling
from medudl.tricks.adversarial import Duel, Weights

_JUDGED = 64  # samples that `validate` compares with the images


class GAN(Adversarial):
    """Generative adversarial network (Goodfellow et al. 2014), with the networks of DCGAN (Radford et al. 2016).

        D learns to tell x ~ p_data from G(z), z ~ N(0, I);   G learns to make G(z) that D takes for data

    A step is `discriminator_steps` updates of D, then `generator_steps` of G, each on the batch's images and on codes
    of its own. Images are shown to both in [-1, 1], brighter voxels clipped; what is generated comes out in [0, 1].

    latent: Z. width: channels of the finest level. norm: batch in all layers but G's output and D's input, or none.
    upsampling: resize, or transposed as published, which makes checkerboards. loss: see losses/adversarial.py.

    A code is decoded as it is; there is no encoder. Label maps are refused (`discrete.py`).
    Monitor: kid, the distance of 64 samples of fixed codes to the validation images by `kernel_distance`, smaller is
    better. Losses of a game do not fall as samples improve, hence neither of them.
    """

    monitor: ClassVar[str] = "kid"

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: int = 0,
        *,
        latent: Annotated[int, Field(ge=1)] = 100,
        width: Annotated[int, Field(ge=1)] = 64,
        norm: Literal["batch", "none"] = "batch",
        upsampling: Upsampling = "resize",
        loss: Loss = "non_saturating",
        discriminator_steps: Annotated[int, Field(ge=1)] = 1,
        generator_steps: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        """condition: how many numbers both networks are told beside code and image (`conditional_gan`)."""
        super().__init__(shape, loss)
        self.latent, self.told = latent, condition
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.generator = Generator(shape, latent, width, norm, upsampling, condition)
        self.discriminator = Discriminator(shape, width, norm, condition)
        self.looked = False  # whether a batch was found to be no label map

    def players(self) -> dict[str, nn.Module]:
        """Two, each with an optimiser of its own (`train.players`)."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """`discriminator_steps` turns of D, then `generator_steps` of G."""
        self._look(batch["image"])
        real, condition = signed(batch["image"]), self.condition(batch)
        for _ in range(self.discriminator_steps):
            with torch.no_grad():
                fake = self.make(self.noise(len(real)), condition, self.stand_in("generator"))
            yield self.discriminator_turn(self._duel(real, fake, condition))
        for _ in range(self.generator_steps):
            fake = self.make(self.noise(len(real)), condition)
            yield self.generator_turn(self._duel(real, fake, condition))

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{kid: (B,)}, see the class; of fixed codes, so equal for equal weights."""
        self._look(batch["image"])
        codes, size = self.fixed_codes(_JUDGED, batch), len(batch["image"])
        parts = [small(self.make(*self.split(codes[at : at + size]))) for at in range(0, _JUDGED, size)]
        return {"kid": kernel_distance(torch.cat(parts), small(signed(batch["image"])))}

    def decode(self, code: Tensor) -> Tensor:
        """The image of a code, as `draw` gives them: (B, Z) -> (B, C, *S)."""
        return unsigned(self.make(*self.split(code)))

    def sample(self, count: int) -> Tensor:
        """Images of drawn codes: (count, C, *S)."""
        return self.decode(self.draw(count))

    def draw(self, count: int) -> Tensor:
        """Codes as the generator was trained on: (count, Z), N(0, I)."""
        return self.noise(count)

    def noise(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """(count, latent), N(0, I); from the generator given (on the CPU) or from torch's own."""
        device = next(self.generator.parameters()).device
        if generator is None:
            return torch.randn(count, self.latent, device=device)
        return torch.randn(count, self.latent, generator=generator).to(device)

    def make(self, noise: Tensor, condition: Tensor | None = None, weights: Weights | None = None) -> Tensor:
        """What the generator makes, in [-1, 1], float32: (B, latent), (B, K) -> (B, C, *S). weights: for its own."""
        if weights is None:
            image: Tensor = self.generator(noise, condition)
        else:
            image = functional_call(self.generator, dict(weights), (noise, condition))
        return image.float()

    def split(self, code: Tensor) -> tuple[Tensor, Tensor | None]:
        """Noise and condition of a code, as `make` takes them."""
        if not self.told:
            return code, None
        return code[:, : self.latent], code[:, self.latent :]

    def condition(self, batch: Batch) -> Tensor | None:
        """(B, K): what both networks are told of the batch's images."""
        return None

    def fixed_codes(self, count: int, batch: Batch) -> Tensor:
        """(count, Z), the same at every call."""
        return self.noise(count, torch.Generator().manual_seed(0))

    def _duel(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> Duel:
        return self.duel("discriminator", "generator", self.discriminator, real, fake, condition)

    def _look(self, image: Tensor) -> None:
        if not self.looked:
            refuse_discrete(image)
            self.looked = True
