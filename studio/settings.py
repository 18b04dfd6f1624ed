"""Settings: flag > environment (STUDIO_*) > studio.toml > default, and where each value came from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from studio.errors import UsageError

PREFIX = "STUDIO_"


def default_home() -> Path:
    """The platform's folder for an application's data."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "studio"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "studio"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "studio"


class Settings(BaseSettings):
    """Every setting of the studio.

    Attributes:
        home: Workspace: inputs by hash, gallery and queue database, pulled weights, logs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        format: File format of a picture whose output name does not say.
        max_megapixels: Larger pictures are refused before they are decoded.
        quality: JPEG quality.
        offline: Never use the network, not even for ``studio weights pull``.
        hf_endpoint: Where ``studio weights pull`` asks; HF_ENDPOINT is honoured too.
        lease_seconds: A job whose worker is silent for longer is given to another.
        worker_idle_minutes: A worker without work ends after this long.
        signing_certificate: PEM chain of your own certificate, to seal results in place of the studio's own.
        signing_key: Its private key, PEM, readable by you alone.
        trust_anchors: PEM file with the public authorities whose seals ``studio verify`` calls trusted.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    format: Literal["png", "jpeg", "webp"] = "png"
    max_megapixels: float = Field(default=120.0, gt=0, le=178.0)  # Pillow itself refuses more than 178
    quality: int = Field(default=95, ge=50, le=100)
    offline: bool = False
    hf_endpoint: str = Field(default_factory=lambda: os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    lease_seconds: float = Field(default=30.0, ge=0.5)
    worker_idle_minutes: float = Field(default=15.0, gt=0)
    signing_certificate: Path | None = None
    signing_key: Path | None = None
    trust_anchors: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then studio.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file())


def toml_file() -> Path | None:
    """The studio.toml in use: in the working folder, else in the default home."""
    for folder in (Path.cwd(), default_home()):
        if (folder / "studio.toml").is_file():
            return folder / "studio.toml"
    return None


def load(**flags: Any) -> Settings:
    """Settings with ``flags`` on top; flags that are None were not given.

    Raises:
        UsageError: ``settings.bad``, naming the value and where it stands.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise UsageError(
            "settings.bad",
            f"The setting {name} is not usable: {first['msg']}",
            seen=f"{first.get('input')!r} from {_origin(name, given)}",
            remedy="Correct it or leave it out",
        ) from error
    except ValueError as error:  # a studio.toml that is no TOML
        raise UsageError("settings.bad", "studio.toml cannot be read", seen=f"{toml_file()}: {error}") from error
    paths = {name: value for name, value in settings if isinstance(value, Path)}
    return settings.model_copy(update={name: Path.cwd() / path.expanduser() for name, path in paths.items()})


def _origin(name: str, flags: dict[str, Any]) -> str:
    if name in flags:
        return "flag"
    if name in EnvSettingsSource(Settings)():
        return f"environment {PREFIX}{name.upper()}"
    path = toml_file()
    if path is not None and name in TomlConfigSettingsSource(Settings, path)():
        return str(path)
    if name == "hf_endpoint" and os.environ.get("HF_ENDPOINT"):
        return "environment HF_ENDPOINT"
    return "default"


def origins(**flags: Any) -> dict[str, str]:
    """Where each setting's value comes from: ``flag``, ``environment NAME``, the path of studio.toml or ``default``."""
    given = {name: value for name, value in flags.items() if value is not None}
    return {name: _origin(name, given) for name in Settings.model_fields}
