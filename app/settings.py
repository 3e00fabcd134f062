"""Settings: one frozen class, read by the command line, the web server and the worker."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024
EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104  to know it by, not to bind to it
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


class Settings(BaseSettings):
    """What an installation may set, by argument or by environment (`PATCHSIFT_DATA_DIR`, ...).

    `Settings(data_dir=Path("d")).database_url` → `"sqlite:///d/patchsift.db"`
    """

    model_config = SettingsConfigDict(env_prefix="PATCHSIFT_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("patchsift")),
        description="Folder for the database, uploads and exports; made when absent.",
    )
    database_url: str = Field(
        default="", description="SQLAlchemy URL; empty means SQLite in the data folder, `postgresql://` means a team."
    )
    project: str = Field(default="default", description="Name of the project that commands and pages work on.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8642, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allowed_hosts: str = Field(
        default="", description="Further host names that a browser may ask for, separated by commas."
    )
    allow_open: bool = Field(
        default=False,
        description="Let everybody in without a name until there are accounts: something in front keeps others out.",
    )
    public_url: str = Field(
        default="", description="The address that people type, behind a proxy: https://patchsift.example."
    )
    trusted_proxies: str = Field(
        default="127.0.0.1", description="Addresses of proxies that may say whom a request came from; commas between."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="`json` writes one object a line to standard error, every request among them."
    )
    metrics: str = Field(
        default="", description="HOST:PORT on which Prometheus may read figures; empty for none. Needs no login."
    )
    max_line_bytes: int = Field(default=16 * MIB, ge=1024, description="A longer log line is quarantined.")
    max_upload_bytes: int = Field(default=200 * MIB, ge=1024, description="A larger request is refused.")
    max_unpacked_bytes: int = Field(default=2048 * MIB, ge=1024, description="A larger unpacked upload is refused.")
    max_ratio: int = Field(default=50, ge=2, description="Unpacked to packed bytes, beyond 64 MiB unpacked.")
    max_members: int = Field(default=10_000, ge=1, description="An archive that holds more files is refused.")
    inline_bytes: int = Field(
        default=2 * MIB, ge=0, description="A larger upload is read by the worker, with a progress bar."
    )
    export_days: int = Field(
        default=30, ge=0, description="A download that nobody asked for in so many days is removed; 0 keeps it."
    )
    export_bytes: int = Field(
        default=20_480 * MIB, ge=0, description="Of more downloads than this the oldest are removed; 0 keeps all."
    )

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL with its driver: `postgres://u@h/d` → `postgresql+psycopg://u@h/d`."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'patchsift.db'}"
        for scheme in ("postgres://", "postgresql://"):
            if self.database_url.startswith(scheme):
                return "postgresql+psycopg://" + self.database_url[len(scheme) :]
        return self.database_url

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server, or somebody said that something in front keeps others out."""
        return self.host in LOOPBACK or self.allow_open

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that are answered, in lower case: loopback, the bind address and `allowed_hosts`."""
        named = {name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip()}
        public = urlsplit(self.public_url).hostname
        here = {self.host.lower()} if self.host not in EVERYWHERE else set()
        return LOOPBACK | named | here | ({public.lower()} if public else set())
