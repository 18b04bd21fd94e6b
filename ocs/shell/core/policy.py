"""The part of the configuration that decisions read."""

from ocs.credit_control.policy import FinalUnit, Policy
from ocs.credit_control.screening import Mode, Rates, Rule, Screening
from ocs.diameter.codes import FinalUnitAction, ResultCode
from ocs.reporting import UsagePolicy
from ocs.shell.config import Config, ScreeningSettings, Usage
from ocs.units import SECOND, Octets


def screening_of(settings: ScreeningSettings) -> Screening:
    """Give the rules that requests are screened by."""
    modes = {rule: Mode(getattr(settings, rule)) for rule in Rule}
    rates = Rates(
        peer=settings.peer_per_second, operator=settings.operator_per_second, session=settings.session_per_second
    )
    return Screening(modes, rates)


def usage_policy_of(settings: Usage, owner_key: bytes) -> UsagePolicy:
    """Give what reports and channels are held against.

    Args:
        owner_key: public, of this deployment's channels, 32 octets.
    """
    return UsagePolicy(
        network=settings.network,
        owner_key=owner_key,
        tariffs={settings.tariff: Octets(settings.per_octets)},
        tolerance=Octets(settings.tolerance_octets),
        octets_per_second_max=Octets(settings.octets_per_second_max),
        epoch_ms=settings.epoch_seconds * SECOND,
        channels_max=settings.channels_max,
        is_witnessed=bool(settings.witnesses_required),
    )


def policy_of(config: Config) -> Policy:
    """Give the part of the configuration that decisions read."""
    quota, gy, services = config.quota, config.gy, config.services
    actions = {
        "terminate": FinalUnitAction.TERMINATE,
        "redirect": FinalUnitAction.REDIRECT,
        "restrict": FinalUnitAction.RESTRICT_ACCESS,
    }
    handling = {"terminate": 0, "continue": 1, "retry_and_terminate": 2}
    return Policy(
        default_octets=Octets(min(quota.default_octets, quota.max_octets)),
        max_octets=Octets(quota.max_octets),
        min_octets=Octets(quota.min_octets),
        target_ms=quota.target_seconds * SECOND,
        validity_seconds=quota.validity_seconds,
        validity_short_seconds=min(quota.validity_short_seconds, quota.validity_seconds),
        threshold_percent=quota.threshold_percent,
        holding_seconds=quota.holding_seconds,
        final_unit=FinalUnit(
            action=actions[quota.final_unit.action],
            redirect_url=quota.final_unit.redirect_url or "",
            filter_ids=tuple(quota.final_unit.filter_ids),
            filter_rules=tuple(quota.final_unit.filter_rules),
        ),
        no_balance_code=ResultCode(quota.no_balance_code),
        sessions_max=quota.sessions_max,
        context_ids=frozenset(services.context_ids),
        emergency_apns=frozenset(apn.lower() for apn in services.emergency.apns),
        emergency_rating_groups=frozenset(services.emergency.rating_groups),
        failure_handling=handling[gy.failure_handling] if gy.failure_handling is not None else None,
        session_failover=int(gy.session_failover) if gy.session_failover is not None else None,
        currency_code=services.currency_code,
    )
