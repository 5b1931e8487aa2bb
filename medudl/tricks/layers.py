"""What the tricks that change an architecture share: which players, and one layer in another's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medudl.config import nearest
from medudl.errors import UserError

CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def chosen(players: Mapping[str, nn.Module], names: Sequence[str], trick: str) -> dict[str, nn.Module]:
    """Those players, each once; "discriminator" also stands for all of discriminator_source, discriminator_target.

    UserError: the method has no such player.
    """
    found: dict[str, nn.Module] = {}
    for name in names:
        meant = {player: network for player, network in players.items() if is_meant(player, name)}
        if not meant:
            raise UserError(
                f"tricks: {trick} changes player {name}, which this method lacks; {nearest(name, list(players))}"
            )
        found |= meant
    return found


def is_meant(player: str, name: str) -> bool:
    """Whether an option's name stands for this player: its own, or that of its kind."""
    return f"{player}_".startswith(f"{name}_")


def replace_batch_norm(
    players: Mapping[str, nn.Module], names: Sequence[str], trick: str, make: Callable[[_BatchNorm], nn.Module]
) -> dict[str, list[nn.Module]]:
    """Put make(layer) in the place of each batch norm of the players named. Returns the new layers, in their order.

    UserError: no such player, or one without a batch norm.
    """
    made: dict[str, list[nn.Module]] = {}
    for name, network in chosen(players, names, trick).items():
        found = [(parent, key, layer) for parent in network.modules() for key, layer in parent.named_children()
                 if isinstance(layer, _BatchNorm)]  # fmt: skip
        if not found:
            raise UserError(
                f"tricks: {trick} stands in for batch norm, and {name} has none; leave {name} out of its players, or"
                " set method.norm: batch"
            )
        # A layer that is used in several places has one stand-in there too.
        stand_ins = {id(layer): make(layer) for _, _, layer in found}
        for parent, key, layer in found:
            setattr(parent, key, stand_ins[id(layer)])
        made[name] = list(stand_ins.values())
    return made


def take_scale(new: nn.Module, old: _BatchNorm) -> nn.Module:
    """Let a new layer begin from the scale and shift of the batch norm that it stands in for, where both have them."""
    if old.affine and getattr(new, "weight", None) is not None:
        new.load_state_dict({"weight": old.weight, "bias": old.bias}, strict=False)
    return new
