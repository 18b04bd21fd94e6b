"""What can go wrong with Gy and with signed usage; a test says `@pytest.mark.fault(5)` for the row that it injects.

A row is done when its answer is seen and the money is right after it.  A row that no test can inject gives its reason.
"""

from typing import Final, NamedTuple


class Row(NamedTuple):
    injected: str
    expected: str
    untested: str = ""
    """Why no test injects it, where none can."""


SECTIONS: Final[dict[str, dict[int, Row]]] = {
    "Diameter: framing and syntax": {
        1: Row("a version other than 1", "5011 with the request's ids; closed; counted by reason"),
        2: Row("a length below 20, or not a multiple of 4", "5015 where the ids can be read; closed; may come again"),
        3: Row("a length above the limit", "5015 where the ids can be read; closed without buffering; memory flat"),
        4: Row("a length larger than what comes, then silence", "closed at a deadline; nobody else waits"),
        5: Row("octets one by one; 500 messages in one segment; a cut at each offset", "the same answers"),
        6: Row("the E bit on a request", "3008"),
        7: Row("reserved bits of the command's or an AVP's flags", "ignored, as RFC 6733 lets a receiver"),
        8: Row("an unknown command in application 4", "3001"),
        9: Row("an unknown application", "3007"),
        10: Row("an AVP length of 0 to 7", "5014, Failed-AVP filled up to its least length"),
        11: Row("an AVP past the end, too short, or wrong for its type", "5014 with Failed-AVP"),
        12: Row(
            "no padding after the last AVP of a message, or of a group; padding that is not zero",
            "5015 and closed, as the message's length is wrong then; the others are accepted",
        ),
        13: Row("an unknown AVP with M, at the top and within an MSCC", "5001, Failed-AVP nested; no debit"),
        14: Row("an unknown AVP without M, of this vendor or that", "ignored; 2001"),
        15: Row("each mandatory AVP of a CCR left out", "5005 with an example; without Session-Id answered without it"),
        16: Row("each single AVP twice", "5009"),
        17: Row("values that no enumeration has", "5004 with Failed-AVP"),
        18: Row("groups nested a thousand deep; ten thousand AVPs", "5004 or closed, at once"),
        19: Row("broken UTF-8, NUL, 4 kB in text AVPs", "5004; logs and tables escape what they show"),
        20: Row("counters of 2⁶⁴−1; input and output that do not add up", "5004 above plausibility; the total counts"),
        21: Row("answers to nothing, twice, or with other ids", "dropped and counted"),
        22: Row("random octets; real CCRs bent at random", "an answer or a close, never an error of ours"),
    },
    "Diameter: peers and transport": {
        23: Row("something before the CER; a second CER", "closed or answered as the state table has it"),
        24: Row("a CER of an unknown identity or address", "3010, closed; listed as waiting, bounded"),
        25: Row("no common application; no common security", "5010; 5017"),
        26: Row("two connections of one identity", "the newer waits its turn; sessions unaffected"),
        27: Row("another Origin-Host or realm than the CER's; an IMSI not agreed", "as the rule of screening says"),
        28: Row("a CCR-U or CCR-T for another peer's session", "5002 where screening refuses; the victim unchanged"),
        29: Row("a CER that drips; a thousand idle connections", "a deadline; a limit; others unaffected"),
        30: Row("a client that never reads", "closed at a limit; memory flat; its grants durable"),
        31: Row("a peer that vanishes without a FIN", "watchdog, suspicion, close; reservations stay until validity"),
        32: Row("RST within a message; FIN after a request", "served once; the repeat gets the same answer"),
        33: Row(
            "no DWA; a late DWA; other traffic instead; a call again after the end",
            "RFC 3539's transitions; no REOPEN, which is for the side that calls",
        ),
        34: Row("a DPR with requests outstanding", "they are answered first, then the DPA, then closed"),
        35: Row(
            "TLS: no certificate, wrong CA, expired, another name, TLS 1.1, plain text",
            "no session; the reason in the log",
        ),
        36: Row("a repeat with T: same connection, another, after a restart", "the same answer; no second debit"),
        37: Row("the same CC-Request-Number with other content", "5012; no debit; counted and told"),
        38: Row("numbers out of order or with gaps", "served; use counted once each"),
        39: Row("CCR-U or CCR-T for an unknown session", "5002; the octets are kept on a list, never debited"),
        40: Row("a second CCR-I; a second CCR-T; an update after the end", "repeat, 5012 or 5002; nothing moves"),
        41: Row("a gateway that dies after I, U or T", "the session ends by supervision; no debit without a report"),
        42: Row("more reported than granted", "2001, or the code of an empty balance; the excess is booked"),
        43: Row("a thousand requests at once for a balance that runs out", "grants never exceed it; the last is final"),
        44: Row("a top-up after the final unit", "RAR; the next CCR-U brings quota"),
        45: Row("three times the load that can be served", "3004 early, no late answer, well again within 5 s"),
    },
    "Process, disk, clock": {
        46: Row(
            "kill -9 before the write, before the sync, before the answer, after it: I, U, T, E, top-up, a signed "
            "report, a channel's opening, close and settling",
            "ready again within 5 s; nothing answered is lost; the repeat gets the same answer",
        ),
        47: Row("kill -9 at each statement that makes the schema of the books", "all of it or nothing, never between"),
        48: Row("a power cut that drops, keeps or tears unsynced writes", "opens clean; only unanswered work is lost"),
        49: Row("fsync fails, once or always", "the process ends, nothing is answered after"),
        50: Row(
            "a disk nearly full, then full",
            "new grants 3004 and CCR-T served below the mark; a failed commit ends the process unanswered",
        ),
        51: Row("a flipped bit in journal, write-ahead log, snapshot or archive", "found when read; no start on it"),
        52: Row("a second server on the same data", "refused with a clear text"),
        53: Row(
            "an old writer that wakes after a failover",
            "its commits fail by their epoch",
            untested="there is one node and one lock on its data; epochs come with a second node",
        ),
        54: Row("SIGTERM under load; a start with a bad configuration", "drained, DPR, exit 0; refused with its line"),
        55: Row("the clock jumps an hour, a day, back, over a year's end", "time never goes back; nothing expires"),
        56: Row(
            "no file descriptor, thread or memory left",
            "new connections refused, open ones served, recovers; without memory it ends unanswered and starts again",
        ),
        57: Row("an SQLite library with the WAL-reset bug", "refuses to start"),
    },
    "Signed usage": {
        58: Row(
            "the same report twice, 100,000 times, after a restart, after its channel has settled",
            "counted once; the same receipt, and no new leaf",
        ),
        59: Row(
            "a bit changed in body, signature or key; no signature; S not canonical; a small-order key",
            "refused, each with its reason, counted by it; nothing of the sender's in the log",
        ),
        60: Row(
            "an unknown, revoked, expired or not yet valid key; a miner's key for an SGW's",
            "refused by role, and by the time of receipt whatever date is signed",
        ),
        61: Row(
            "two reports of one sequence number that say different things",
            "both kept; that session frozen, no other; a stranger can check the proof",
        ),
        62: Row(
            "counters that fall; a jump of 10 TB; a report for an ended or unknown session",
            "refused and kept; a late final report counts within the grace",
        ),
        63: Row(
            "signed octets that are not those of Gy, by more than the tolerance",
            "both stand; the difference has its cause on the list, and moves no money",
        ),
        64: Row(
            "reports out of order; one missing for ever",
            "the newer counts and tells of the gap, the older is superseded; the channel closes with what is proved",
        ),
        65: Row(
            "a channel: use beyond its credits, at its epoch's end, both ends at once, an older Close",
            "refused beyond; counted in one epoch; closed once; only the Close of the whole log stands",
        ),
    },
}

ROWS: Final[dict[int, Row]] = {number: row for rows in SECTIONS.values() for number, row in rows.items()}
