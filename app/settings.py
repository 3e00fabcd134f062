"""Settings: one frozen class, read by the command line, the web server and the worker."""

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import platformdirs
from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import AppError

MIB = 1024 * 1024
EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104  to know it by, not to bind to it
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


_BY_FILE = ("database_url", "database_password", "oidc_client_secret")


class _Files(PydanticBaseSettingsSource):
    """Secrets by file, as containers are given them: `PATCHSIFT_DATABASE_PASSWORD_FILE=/run/secrets/db`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """The file's text without the line end, or None where no file is named."""
        variable = f"PATCHSIFT_{field_name.upper()}_FILE"
        path = os.environ.get(variable, "") if field_name in _BY_FILE else ""
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise AppError(f"The file {path} of the setting {variable} cannot be read: {error}.") from error

    def __call__(self) -> dict[str, Any]:
        """What the files say."""
        found = {name: self.get_field_value(self.settings_cls.model_fields[name], name)[0] for name in _BY_FILE}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """What an installation may set, by argument or by environment (`PATCHSIFT_DATA_DIR`, ...).

    A secret may stand in a file instead: `PATCHSIFT_DATABASE_PASSWORD_FILE` names it.

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
    database_password: SecretStr = Field(
        default=SecretStr(""), description="Password for a `database_url` that names none; best by file."
    )
    project: str = Field(default="default", description="Name of the project that commands and pages work on.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8642, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allowed_hosts: str = Field(
        default="",
        description="Further host names that a browser may ask for, without ports, commas between: desk,192.0.2.2.",
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
    oidc_issuer: str = Field(
        default="", description="An OpenID provider that people come in by, as it calls itself: https://login.example."
    )
    oidc_client_id: str = Field(default="", description="What the provider knows this server as.")
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="The secret for that, best by file; empty for a public client."
    )
    oidc_role: Literal["", "viewer", "reviewer"] = Field(
        default="",
        description="Role in `project` for whom the provider names and nobody here knows; empty: refused.",
    )
    oidc_only: bool = Field(default=False, description="Take no passwords: people come in by the provider alone.")
    max_line_bytes: int = Field(default=16 * MIB, ge=1024, description="A longer log line is quarantined.")
    max_upload_bytes: int = Field(default=200 * MIB, ge=1024, description="A larger request is refused.")
    max_unpacked_bytes: int = Field(default=2048 * MIB, ge=1024, description="A larger unpacked upload is refused.")
    max_ratio: int = Field(default=50, ge=2, description="Unpacked to packed bytes, beyond 64 MiB unpacked.")
    max_members: int = Field(default=10_000, ge=1, description="An archive that holds more files is refused.")
    inline_bytes: int = Field(
        default=2 * MIB, ge=0, description="A larger upload is read by the worker, with a progress bar."
    )
    draft_days: int = Field(
        default=365, ge=0, description="What was typed and not saved for so many days is removed; 0 keeps it."
    )
    job_days: int = Field(
        default=90,
        ge=0,
        description="Checks, groupings and previews that ended so many days ago are forgotten; 0 never.",
    )
    message_days: int = Field(
        default=30, ge=0, description="Messages to webhooks that ended so many days ago are forgotten; 0 never."
    )
    login_days: int = Field(
        default=90, ge=0, description="Logins and links that ended so many days ago are forgotten; 0 never."
    )
    webhook_hosts: str = Field(
        default="",
        description="Hosts that webhooks may go to, commas between; private ones by their network too: 10.0.0.0/8.",
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
                return "postgresql+psycopg://" + self._with_password(self.database_url[len(scheme) :])
        return self.database_url

    def _with_password(self, rest: str) -> str:
        """`desk@db/desk` → `desk:secret@db/desk`."""
        name, at, place = rest.partition("@")
        password = self.database_password.get_secret_value()
        if not password or not at or ":" in name:
            return rest
        return f"{name}:{quote(password, safe='')}@{place}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then files that it names."""
        return init_settings, env_settings, _Files(settings_cls)

    def source_of(self, name: str) -> str:
        """Where a setting comes from: `"PATCHSIFT_HOST"`, `"PATCHSIFT_DATABASE_URL_FILE"`, `"option"`, `"default"`."""
        if name not in self.model_fields_set:
            return "default"
        known = {variable.upper() for variable in os.environ}
        named = (f"PATCHSIFT_{name.upper()}", f"PATCHSIFT_{name.upper()}_FILE")
        return next((variable for variable in named if variable in known), "option")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server, or somebody said that something in front keeps others out.

        One on loopback that others know by a `public_url` stands behind a proxy of the same machine.
        """
        public = urlsplit(self.public_url).hostname
        return self.allow_open or (self.host in LOOPBACK and (public is None or public in LOOPBACK))

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that are answered, in lower case: loopback, the bind address and `allowed_hosts`."""
        named = {name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip()}
        public = urlsplit(self.public_url).hostname
        here = {self.host.lower()} if self.host not in EVERYWHERE else set()
        return LOOPBACK | named | here | ({public.lower()} if public else set())
