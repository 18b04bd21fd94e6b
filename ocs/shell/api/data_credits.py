"""Data credits: what was bought elsewhere, and what channels lock of it."""

from fastapi import Response
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.channel.event import CreditsBought
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.money import REPLAYED, Key
from ocs.shell.api.paging import Page, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.values import Body, DataCreditsIn, DataCreditsText, TimeText, View, time_text
from ocs.shell.books.usage_reading import PurchaseRow
from ocs.units import UnixMillis

routes = router("channels")


class AccountView(View):
    """The deployment's data credits: available + locked + spent = funded."""

    available: DataCreditsText
    locked: DataCreditsText = Field(description="by channels that are not settled")
    spent: DataCreditsText
    funded: DataCreditsText


class NewPurchase(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1000000", "reference": "burn 7f3a"}]})

    amount: DataCreditsIn
    reference: str = Field(description="1 to 255 characters: where they were bought")


class PurchaseView(View):
    number: int
    at: TimeText
    amount: DataCreditsText
    reference: str
    key: str


def _purchase(bought: CreditsBought | PurchaseRow) -> PurchaseView:
    return PurchaseView(
        number=bought.number,
        at=time_text(UnixMillis(bought.at)),
        amount=str(bought.amount),
        reference=bought.reference,
        key=bought.key,
    )


@routes.get("/data-credits", responses=responses(), dependencies=ALONE)
async def show_data_credits(backend: Behind) -> AccountView:
    """Show the deployment's account."""
    account = (await backend.state()).signed.channels.account
    return AccountView(
        available=str(account.available),
        locked=str(account.locked),
        spent=str(account.spent),
        funded=str(account.funded),
    )


@routes.post("/data-credits/top-ups", status_code=201, responses=responses(400, 409), dependencies=ALONE)
async def buy_data_credits(
    backend: Behind, body: NewPurchase, idempotency_key: Key, response: Response
) -> PurchaseView:
    """Credit data credits that were bought elsewhere, once for each Idempotency-Key.

    With the first of them channels begin to open by themselves.  A repeat with the same content is answered as the
    first time, with `Idempotency-Replayed: true`; the same key with other content is refused.
    """
    done = await backend.command(cmd.BuyCredits(body.amount, body.reference, idempotency_key))
    assert isinstance(done.event, CreditsBought), "BuyCredits gives CreditsBought"
    if done.repeated:
        response.headers[REPLAYED] = "true"
    return _purchase(done.event)


@routes.get("/data-credits/top-ups", responses=responses())
async def list_purchases(backend: Behind, query: Paging) -> Page[PurchaseView]:
    """List what was bought, the oldest first."""
    after = number_of("data-credits", query.cursor) or 0
    rows = await (await backend.books()).usage.purchases(after=after, limit=query.limit + 1)
    return page_of("data-credits", [(row.number, _purchase(row)) for row in rows], query.limit)
