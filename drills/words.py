"""Compare the answers to buyers with the outcomes of their payments."""

from collections.abc import Sequence

from drills.books import Books
from drills.market import Purchase


def broken_words(now: Books, told: Sequence[Purchase]) -> list[str]:
    """List false answers: 402 says that no money moved, every other final status that it did."""
    sales = {"0x" + bytes(sale.nonce).hex(): sale for sale in now.sales}
    found = []
    for purchase in told:
        sale, last = sales.get(purchase.nonce), purchase.told[-1]
        is_paid = sale is not None and sale.payment == "paid"
        rules = {
            "told of more than one answer": len(purchase.answers) <= 1,
            f"told {last}, and not paid": last == 402 or is_paid,
            f"told {last}, and paid": last != 402 or not is_paid or purchase.landed_directly,
            "landed, and not in the ledger": is_paid or not purchase.landed_directly,
        }
        wrong = [*purchase.wrong, *(broken for broken, is_kept in rules.items() if not is_kept)]
        buyer = purchase.buyer.wallet.address
        found += [f"buyer {buyer}, told {purchase.told}: {broken}" for broken in wrong]
    return found
