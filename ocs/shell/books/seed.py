"""Begin the books with a state, where the journal no longer reaches back to its beginning."""

from ocs.balance.event import TopUpKind
from ocs.channel.channel import ChannelState
from ocs.channel.hold import SessionState
from ocs.channel.record import CloseReason
from ocs.credit_control.event import EndCause, State
from ocs.credit_control.rest import OPENED_AT, head_of, unpack_answer
from ocs.reporting import SignedUsage
from ocs.shell.books.posting import AccountEntry, Posting, ServiceEntry, SessionEntry
from ocs.shell.books.usage_posting import ChannelEntry, SignedEntry, UsagePosting
from ocs.state import State as Node
from ocs.usage.keys import Role


def posting(state: Node) -> Posting:
    """Give the rows of a state: operators, money, peers, and the sessions still in memory.

    What a session was charged beyond the balance is not told apart there, and stands as charged.  Sessions that began
    before are not compared with what is signed: the state does not say all that was.
    """
    rows = Posting({}, {}, 1, UsagePosting({}, {}, state.signed.log.size))
    _operators(rows, state)
    _sessions(rows, state)
    _usage(rows, state.signed)
    for peer in state.peers.values():
        rows.add(
            "INSERT INTO peers VALUES (?, ?, ?, ?)", peer.origin_host, " ".join(peer.addresses), peer.profile, peer.at
        )
    return rows


def _operators(rows: Posting, state: Node) -> None:
    for operator in state.charging.operators.all():
        account = operator.account
        rows.add(
            "INSERT INTO operators VALUES (?, ?, ?, ?)",
            *(operator.number, operator.name, operator.added_at, operator.grant_max),
        )
        for prefix in operator.prefixes:
            rows.add("INSERT INTO prefixes VALUES (?, ?)", prefix, operator.number)
        rows.accounts[operator.number] = AccountEntry(
            account.available,
            account.reserved,
            account.consumed,
            account.overrun,
            account.written_off,
            account.funded,
            account.owed,
        )
        rows.touched_accounts.add(operator.number)
    for tariff in state.charging.tariffs.all():
        rows.add(
            "INSERT INTO tariffs VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(
                tariff.number,
                tariff.operator,
                tariff.rating_group,
                tariff.apn,
                tariff.price,
                tariff.per_octets,
                state.at,
            ),
        )
    for number, top_up in state.top_ups.items():
        rows.add(
            "INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(number, top_up.operator, top_up.at, top_up.amount, TopUpKind(top_up.kind).name.lower()),
            *(top_up.reference, top_up.key, state.reversed_credits.get(number, 0)),
        )


def _sessions(rows: Posting, state: Node) -> None:
    sessions = state.charging.sessions
    # Numbered as they began: lists show the newest first by it.
    began = sorted((head_of(packed)[OPENED_AT], session_id) for session_id, packed in sessions.packed())
    for _, session_id in began:
        session = sessions.get(session_id)
        assert session is not None
        gateway = sessions.gateways[session.gateway]
        ended = session.state == State.ENDED
        entry = SessionEntry(
            rows.next_session,
            session_id,
            session.operator or None,
            session.imsi,
            "",
            session.apn,
            "",
            gateway.peer,
            gateway.origin_host,
            State(session.state).name.lower(),
            session.opened_at,
            session.changed_at,
            session.changed_at if ended else None,
            EndCause(session.end_cause).name.lower() if ended else None,
            None,
            len(session.answers),
            sum(service.used for service in session.services),
            sum(service.charged for service in session.services),
            0,
            unpack_answer(session.answers[-1]).result_code if session.answers else 0,
            0,
            session.last,
        )
        for service in session.services:
            entry.services[service.rating_group, " ".join(map(str, service.service_ids))] = ServiceEntry(
                service.tariff, service.granted, service.used, service.charged, 0, service.reserved, 0
            )
        rows.next_session += 1
        rows.written.append(entry)


def _usage(rows: Posting, signed: SignedUsage) -> None:
    """Give keys, channels and the signed sessions still in memory; their commits are in the log."""
    for key, view in signed.register.keys.items():
        rows.add(
            "INSERT INTO signers VALUES (?, ?, ?, ?, ?, ?, ?, '')",
            *(key, view.role.value, view.origin_host, view.valid_from, view.valid_from),
            *(view.valid_until, view.revoked_at),
        )
        if view.role is Role.SGW and view.revoked_at is None:
            rows.usage.comparing.gateways.add(key, view.origin_host)
    for bought in signed.purchases.values():
        rows.add(
            "INSERT INTO purchases VALUES (?, ?, ?, ?, ?)",
            *(bought.number, bought.at, bought.amount, bought.reference, bought.key),
        )
    for number, channel in signed.channels.by_number.items():
        rows.usage.channels[number] = ChannelEntry(channel.per_octets, channel.used, channel.commits)
        rows.usage.comparing.channels.opened(number)
        if channel.state == ChannelState.SETTLED:
            rows.usage.comparing.channels.settled(number)
        reason = CloseReason(channel.reason).name.lower() if channel.reason else None
        rows.add(
            "INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            *(number, channel.channel_id, channel.amount, channel.tariff, channel.per_octets, channel.opened_at),
            *(channel.expires_at, ChannelState(channel.state).name.lower(), reason, channel.opened_at),
            *(channel.used, channel.commits),
        )
    for session_id, session in signed.channels.sessions.items():
        rows.usage.sessions[session_id] = SignedEntry(
            session_id,
            session.gy_session_id,
            session.channel,
            session.sgw_key,
            session.miner_key,
            SessionState(session.state).name.lower(),
            session.started_at,
            session.measured_at,
            session.seq,
            session.up,
            session.down,
            session.credits,
            signed=session.octets,
        )
        rows.usage.touched_sessions.add(session_id)
