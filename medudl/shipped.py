"""What comes with medudl: configs, the viewer, sample data; from a wheel or a checkout."""

from __future__ import annotations

from pathlib import Path

from medudl.errors import UserError

__all__ = ["config_path", "shipped"]

PACKAGE = Path(__file__).parent


def shipped(folder: str) -> Path:
    """A folder that comes with medudl (configs, sample_data), installed from a wheel or from a checkout."""
    for place in (PACKAGE / "shipped" / folder, PACKAGE.parent / folder):
        if place.is_dir():
            return place
    raise UserError(f"{folder}/ is missing from this installation of medudl; install it again")


def config_path(name: str | Path) -> Path:
    """A YAML file, or the name of a config that comes with medudl ("denoising_autoencoder")."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    configs = shipped("configs")
    found = configs / f"{name}.yaml"
    if not found.is_file():
        known = sorted(str(p.relative_to(configs).with_suffix("")) for p in configs.rglob("*.yaml"))
        raise UserError(f"{name}: neither a YAML file nor a config of medudl ({', '.join(known)})")
    return found
