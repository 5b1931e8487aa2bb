"""The contract of a trick: a few hooks that do nothing unless overridden; the one loop calls them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from medudl.batch import Batch


class Trick:
    """Base of all tricks. A subclass gives `__init__(self, *, options)` and overrides the hooks it needs.

    `build` is called once the method is made, in training and wherever its run is opened again, before weights are
    loaded. Then the loop calls, for each trick in the order of the config: `setup` once, before optimisers are made;
    `before_step` on every batch; `penalty` on every objective that carries a loss; `after_update` when that player's
    optimiser has stepped. `state` and `load_state` survive a resume.
    """

    def build(self, players: Mapping[str, nn.Module]) -> None:
        """Change the players' architecture: layers in place of others, parametrisations. UserError: no such player."""

    def setup(self, players: Mapping[str, nn.Module]) -> None:
        """See the players once. UserError: an option names a player that this method does not have."""

    def before_step(self, batch: Batch) -> Batch:
        """The batch that the method's step is to see."""
        return batch

    def penalty(self, player: str, module: nn.Module) -> dict[str, Tensor]:
        """{name: scalar with a graph}, each ADDED to the loss that this player minimises now, and logged by name.

        Called under the loop's autocast, before the backward pass.
        """
        return {}

    def after_update(self, player: str, module: nn.Module) -> None:
        """Follow an update: this player's weights have just changed; its averaged weights (EMA) follow afterwards."""

    def state(self) -> dict[str, object]:
        """What a resume needs: tensors and JSON values, nested in dicts and lists."""
        return {}

    def load_state(self, state: dict[str, object]) -> None:
        """Restore what `state` gave; called after `setup`."""
