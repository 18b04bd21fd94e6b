"""The configuration: one YAML file, every key also as an environment variable.  docs/configuration.md.

What is wrong is said all at once, each with its place, and nothing starts on a configuration that is not understood.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ocs.shell.config_values import (
    UNSIGNED32_MAX,
    CosignerKeyText,
    Cpu,
    HttpUrl,
    Identity,
    ImsiPrefix,
    Listen,
    Network,
    NetworkName,
    Plmn,
    ProfileName,
    RatingGroup,
    ScreeningMode,
    Text,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Peer(_Section):
    """One peer that is let in without `ocs peer allow`."""

    origin_host: Identity = Field(description="its Origin-Host")
    addresses: list[Network] = Field(default=[], description="addresses or networks it may come from; none: any")
    profile: ProfileName | None = Field(
        default=None, description="what its make needs; null: proposed by its Product-Name"
    )
    speaks_for: list[Identity] = Field(default=[], description="further Origin-Hosts whose requests it relays")
    imsi_prefixes: list[ImsiPrefix] = Field(default=[], description="of subscribers it may charge; none: all")
    plmns: list[Plmn] = Field(default=[], description="its own networks, MCC and MNC as digits; none: any")


class Tls(_Section):
    """Diameter over TLS 1.2 or later, on ports of its own."""

    certificate: Text = Field(description="PEM file with the server's certificate chain")
    key: Text = Field(description="PEM file with its private key")
    ca: Text = Field(description="PEM file with the authorities that client certificates must come from")
    listen: list[Listen] = Field(default=["127.0.0.1:5868"], description="where to listen for TLS")
    require_client_certificate: bool = Field(default=True, description="refuse peers without a certificate of `ca`")
    match_origin_host: bool = Field(
        default=True, description="refuse a peer whose certificate does not name its Origin-Host (as DNS name)"
    )


class ScreeningSettings(_Section):
    """What is done with requests that claim what they should not; off, detect (count and tell) or refuse."""

    origin_host: ScreeningMode = Field(
        default="detect", description="not the peer's Origin-Host, nor one it speaks for"
    )
    origin_realm: ScreeningMode = Field(default="detect", description="not the peer's Origin-Realm")
    session_id: ScreeningMode = Field(default="detect", description="a Session-Id that does not begin with Origin-Host")
    session_owner: ScreeningMode = Field(default="detect", description="CCR-U or CCR-T for another gateway's session")
    imsi_prefix: ScreeningMode = Field(default="detect", description="a subscriber outside the peer's imsi_prefixes")
    visited_plmn: ScreeningMode = Field(default="detect", description="a 3GPP-SGSN-MCC-MNC outside the peer's plmns")
    two_places: ScreeningMode = Field(default="detect", description="one subscriber in two realms within five minutes")
    peer_rate: ScreeningMode = Field(default="detect", description="above peer_per_second")
    operator_rate: ScreeningMode = Field(default="detect", description="above operator_per_second")
    session_rate: ScreeningMode = Field(default="detect", description="above session_per_second")
    peer_per_second: int = Field(default=0, ge=0, le=10_000_000, description="requests of one peer; 0: no limit")
    operator_per_second: int = Field(
        default=0, ge=0, le=10_000_000, description="requests for one home operator; 0: no limit"
    )
    session_per_second: int = Field(default=0, ge=0, le=1_000_000, description="requests of one session; 0: no limit")


class Gy(_Section):
    """The Diameter side."""

    listen: list[Listen] = Field(default=["127.0.0.1:3868"], description="where to listen: host:port or [IPv6]:port")
    tls: Tls | None = Field(default=None, description="Diameter over TLS; null: off")
    peers: Literal["any"] | list[Peer] = Field(default=[], description='who is let in; "any", or a list; others wait')
    realms: list[Identity] = Field(default=[], description="further Destination-Realms that are served here")
    strict_destination: bool = Field(default=False, description="refuse what names another host (3002) or realm (3003)")
    profile: ProfileName | None = Field(default=None, description="for peers without one of their own; null: proposed")
    watchdog_seconds: int = Field(default=30, ge=6, le=3600, description="Tw of RFC 3539, seconds")
    answer_deadline_ms: int = Field(
        default=1000, ge=50, le=60_000, description="a later answer is dropped, milliseconds"
    )
    connections_max: int = Field(default=4096, ge=1, le=100_000, description="connections at the same time")
    connections_per_address_max: int = Field(default=64, ge=1, le=100_000, description="of them from one address")
    message_octets_max: int = Field(
        default=65_536, ge=1024, le=2**24 - 4, description="the longest message taken, octets"
    )
    screening: ScreeningSettings = Field(default=ScreeningSettings(), description="what requests may claim")
    dictionaries: list[Text] = Field(default=[], description="further .dia files or folders of them: vendor AVPs")
    failure_handling: Literal["terminate", "continue", "retry_and_terminate"] | None = Field(
        default=None, description="Credit-Control-Failure-Handling sent to gateways; null: not sent"
    )
    session_failover: bool | None = Field(
        default=None, description="CC-Session-Failover sent to gateways; null: not sent"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.listen and (self.tls is None or not self.tls.listen):
            raise ValueError("no place to listen is left; name one in listen, or in tls.listen")
        return self

    @model_validator(mode="after")
    def _each_peer_once(self) -> Self:
        named = [peer.origin_host.lower() for peer in self.peers if isinstance(peer, Peer)]
        twice = next((name for place, name in enumerate(named) if name in named[:place]), None)
        if twice is not None:
            raise ValueError(f"peers names {twice} twice; write one entry with all of its addresses")
        return self


class FinalUnit(_Section):
    """What the gateway does once the last grant is used up (RFC 8506 section 8.34)."""

    action: Literal["terminate", "redirect", "restrict"] = Field(default="terminate", description="Final-Unit-Action")
    redirect_url: Text | None = Field(default=None, description="where `redirect` leads")
    filter_ids: list[Text] = Field(default=[], description="Filter-Ids of `restrict`, known to the gateway")
    filter_rules: list[Text] = Field(default=[], description="Restriction-Filter-Rules of `restrict` (IPFilterRule)")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.action == "redirect" and not self.redirect_url:
            raise ValueError("action redirect needs redirect_url, for example https://top-up.example.net/")
        if self.action == "restrict" and not (self.filter_ids or self.filter_rules):
            raise ValueError("action restrict needs filter_ids or filter_rules")
        return self


class Quota(_Section):
    """How much is granted, for how long, and what happens when the balance is gone."""

    default_octets: int = Field(default=10_000_000, ge=1, le=2**62, description="the first grant of a service, octets")
    max_octets: int = Field(default=100_000_000, ge=1, le=2**62, description="the largest grant, octets")
    min_octets: int = Field(
        default=100_000, ge=1, le=2**62, description="fair shares near exhaustion are no smaller, octets"
    )
    target_seconds: int = Field(default=120, ge=1, le=86_400, description="how long a grant should last, seconds")
    validity_seconds: int = Field(default=3600, ge=1, le=864_000, description="Validity-Time, seconds")
    validity_short_seconds: int = Field(
        default=60, ge=1, le=864_000, description="Validity-Time of a last grant to a gateway that ignores RAR, seconds"
    )
    threshold_percent: int = Field(
        default=5, ge=0, le=50, description="Volume-Quota-Threshold, percent of the grant; 0: none"
    )
    holding_seconds: int | None = Field(
        default=None, ge=0, le=864_000, description="Quota-Holding-Time, seconds; null: not sent"
    )
    final_unit: FinalUnit = Field(default=FinalUnit(), description="what the gateway does after the last grant")
    no_balance_code: Literal[5003, 4012] = Field(default=5003, description="Result-Code where no balance is left")
    sessions_max: int = Field(
        default=2_000_000, ge=1, le=50_000_000, description="open sessions; more are answered 3004"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min_octets <= self.default_octets <= self.max_octets:
            raise ValueError(
                f"min_octets ({self.min_octets}), default_octets ({self.default_octets}) and max_octets "
                f"({self.max_octets}) must rise in this order"
            )
        return self


class Emergency(_Section):
    """Services that are never refused for money."""

    apns: list[Text] = Field(default=["sos"], description="APNs")
    rating_groups: list[RatingGroup] = Field(default=[], description="Rating-Groups")


class Services(_Section):
    """What is charged, and what is not."""

    context_ids: list[Text] = Field(default=[], description="the Service-Context-Ids served; none: all")
    emergency: Emergency = Field(default=Emergency(), description="never refused for money")
    currency_code: int = Field(
        default=999, ge=0, le=999, description="ISO 4217 number sent with a price; 999: no currency"
    )


class JournalSettings(_Section):
    """How long what happened is kept."""

    keep_days: int = Field(default=35, ge=1, le=3650, description="archived groups and daily snapshots, days")
    keep_octets: int = Field(
        default=20_000_000_000, ge=100_000_000, le=2**62, description="the archive's largest size, octets"
    )
    free_octets_min: int = Field(
        default=200_000_000,
        ge=0,
        le=2**62,
        description="with less room on the disk new grants are refused (3004), octets",
    )
    snapshot_every_records: int = Field(
        default=200_000,
        ge=1000,
        le=1_000_000_000,
        description="a snapshot after so many records, and not fewer than a third of the sessions",
    )
    snapshot_every_seconds: int = Field(
        default=600, ge=1, le=86_400, description="and after so many seconds, where anything happened"
    )


class ApiTls(_Section):
    """A door over TLS 1.2 or later; who comes in proves who it is by its token or key in either case."""

    certificate: Text = Field(description="PEM file with the server's certificate chain")
    key: Text = Field(description="PEM file with its private key")


class Api(_Section):
    """HTTP: API, metrics, health."""

    listen: Listen = Field(default="127.0.0.1:8080", description="where to listen: host:port or [IPv6]:port")
    tls: ApiTls | None = Field(default=None, description="HTTPS in place of HTTP; null: off")


class UsageTls(ApiTls):
    """gRPC over TLS."""

    ca: Text | None = Field(
        default=None, description="PEM file with the authorities that client certificates must come from; null: none"
    )


class WitnessSettings(_Section):
    """A cosigner of the public log (c2sp.org/tlog-witness), best run by a home operator."""

    url: HttpUrl = Field(description="where it takes checkpoints, without /add-checkpoint")
    key: CosignerKeyText = Field(description="its verifier key, as `ocs witness key` shows it")


class Usage(_Section):
    """Signed usage: channels, what reports are held against, and where they are taken over gRPC."""

    listen: Listen | None = Field(
        default="127.0.0.1:8081", description="where signed usage is taken over gRPC; null: nowhere"
    )
    tls: UsageTls | None = Field(default=None, description="gRPC over TLS; null: off")
    network: NetworkName = Field(default="default", description="this deployment's name; every signed message bears it")
    tolerance_octets: int = Field(
        default=1_000_000,
        ge=0,
        le=2**62,
        description="may be signed above what was granted or reported over Gy, for each Gy session, octets",
    )
    octets_per_second_max: int = Field(
        default=125_000_000, ge=1, le=2**62, description="no session's radio carries more, octets a second"
    )
    epoch_seconds: int = Field(
        default=3600, ge=2, le=86_400, description="a channel ends with an epoch of the clock, seconds"
    )
    grace_epochs: int = Field(
        default=1, ge=1, le=168, description="epochs in which late reports are taken once a channel has closed"
    )
    tariff: int = Field(
        default=1, ge=1, le=UNSIGNED32_MAX, description="number of the price below; a new price takes a new number"
    )
    per_octets: int = Field(
        default=20_000,
        ge=1,
        le=2**62,
        description="one data credit pays for a started block of so many octets, in channels opened from now on",
    )
    channel_credits: int = Field(
        default=1_000_000, ge=1, le=2**62, description="what a channel locks, or all there is, data credits"
    )
    channels_max: int = Field(default=64, ge=2, le=1000, description="channels that are not settled, at a time")
    waiting_max: int = Field(
        default=4096, ge=1, le=1_000_000, description="reports under way at a time; more are asked to come again"
    )
    witnesses: list[WitnessSettings] = Field(default=[], max_length=16, description="cosigners of the public log")
    witnesses_required: int = Field(
        default=0, ge=0, le=16, description="channels settle once so many have seen all their commits; 0: without them"
    )
    witness_seconds: int = Field(
        default=60, ge=1, le=86_400, description="between two checkpoints that cosigners are shown, seconds"
    )

    @model_validator(mode="after")
    def _witnesses_suffice(self) -> Self:
        if self.witnesses_required > len(self.witnesses):
            raise ValueError(
                f"witnesses_required is {self.witnesses_required}, and witnesses names {len(self.witnesses)}"
            )
        if len({one.key for one in self.witnesses}) < len(self.witnesses):
            raise ValueError("witnesses names one key twice; each has its own")
        return self


class Processors(_Section):
    """Where the server's processes run; a CPU of its own keeps the core's answers even on a busy machine."""

    core: list[Cpu] = Field(default=[], description="CPUs of the core, which answers Gy; one is best; none: any")
    follower: list[Cpu] = Field(
        default=[], description="CPUs of the follower and of what verifies signatures, best the others; none: any"
    )
    real_time: bool = Field(
        default=False, description="the core takes a CPU from all other work at once (SCHED_RR); for two CPUs or more"
    )


class Logging(_Section):
    """What the server says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least that is said")
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="a JSON object per line, or text for people; auto: text on a terminal"
    )
    full_imsi: bool = Field(default=False, description="IMSIs whole; they are personal data, and masked otherwise")


class Config(_Section):
    """All of it; every key has a default, and the defaults listen on loopback only."""

    origin_host: Identity = Field(default="ocs.example.net", description="this server's Origin-Host")
    origin_realm: Identity = Field(default="example.net", description="its Origin-Realm")
    data: Text = Field(default="./data", description="folder of journal, snapshots and books; relative to this file")
    gy: Gy = Gy()
    quota: Quota = Quota()
    services: Services = Services()
    journal: JournalSettings = JournalSettings()
    api: Api = Api()
    usage: Usage = Usage()
    processors: Processors = Processors()
    logging: Logging = Logging()

    def placed(self, folder: Path) -> "Config":
        """Give this configuration with its paths made absolute, relative ones from `folder`."""

        def absolute(name: str) -> str:
            return str((folder / name).absolute())

        tls = self.gy.tls
        if tls is not None:
            files = {"certificate": absolute(tls.certificate), "key": absolute(tls.key), "ca": absolute(tls.ca)}
            tls = tls.model_copy(update=files)
        dictionaries = [absolute(name) for name in self.gy.dictionaries]
        gy = self.gy.model_copy(update={"tls": tls, "dictionaries": dictionaries})
        api, usage = self.api, self.usage
        if api.tls is not None:
            files = {"certificate": absolute(api.tls.certificate), "key": absolute(api.tls.key)}
            api = api.model_copy(update={"tls": api.tls.model_copy(update=files)})
        if usage.tls is not None:
            named = {name: getattr(usage.tls, name) for name in ("certificate", "key", "ca")}
            files = {name: absolute(text) for name, text in named.items() if text is not None}
            usage = usage.model_copy(update={"tls": usage.tls.model_copy(update=files)})
        return self.model_copy(update={"gy": gy, "api": api, "usage": usage, "data": absolute(self.data)})
