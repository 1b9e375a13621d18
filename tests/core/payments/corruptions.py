"""What may go wrong in the rows of a sale, each with what undoes it and the differences that it makes."""

from dataclasses import dataclass

# What a trigger or a constraint would not let anybody do by way of the ledger.
BEHIND_THE_TRIGGER = "ALTER TABLE payments {} TRIGGER payment_transition"


@dataclass(frozen=True)
class Corruption:
    """What is done to a sale, what undoes it, and the differences that it makes.

    Attributes:
        within: found by ledger and executions alone.
        outside: found with the chain only.
    """

    does: tuple[str, ...]
    undoes: tuple[str, ...]
    within: set[str]
    outside: frozenset[str] = frozenset()
    of: str = "answered"


def behind(*statements: str) -> tuple[str, ...]:
    """Statements that the payment's history does not see."""
    return (BEHIND_THE_TRIGGER.format("DISABLE"), *statements, BEHIND_THE_TRIGGER.format("ENABLE"))


PAYMENT = "UPDATE payments SET {} WHERE id = %(payment_id)s"
EXECUTION = "UPDATE executions SET {} WHERE id = %(id)s"
USAGE = "UPDATE usage_log SET {} WHERE execution_id = %(id)s AND round = {}"
HISTORY = "UPDATE payment_transitions SET to_state = '{}' WHERE to_state = '{}' AND payment_id = %(payment_id)s"
# A living owner keeps recovery from deciding it.
HELD = "owner = (SELECT id FROM workers WHERE stopped_at IS NULL ORDER BY heartbeat_at DESC LIMIT 1)"
UNKNOWN = behind(PAYMENT.format(f"state = 'unknown', decided_at = NULL, {HELD}"))
PAID = behind(PAYMENT.format("state = 'paid', decided_at = now(), owner = NULL, proved_at = NULL"))

CORRUPTIONS = {
    "the amount of a payment": Corruption(
        (PAYMENT.format("amount_atomic = amount_atomic + 1"),),
        (PAYMENT.format("amount_atomic = amount_atomic - 1"),),
        {"usage_amount"},
        frozenset({"transfer_differs"}),
    ),
    "the transaction of a payment": Corruption(
        (PAYMENT.format("transaction = (SELECT transaction FROM payments WHERE id <> %(payment_id)s)"),),
        (PAYMENT.format("transaction = %(transaction)s"),),
        {"history_differs", "transfer_shared"},
        frozenset({"transfer_differs"}),
    ),
    "the recipient of a payment": Corruption(
        (PAYMENT.format("pay_to = '0x' || reverse(substr(pay_to, 3))"),),
        (PAYMENT.format("pay_to = '0x' || reverse(substr(pay_to, 3))"),),
        set(),
        frozenset({"transfer_differs"}),
    ),
    "a payment that is not decided although it was run": Corruption(UNKNOWN, PAID, {"history_differs", "run_not_paid"}),
    "the same when its authorization is long over": Corruption(
        (*UNKNOWN, PAYMENT.format("valid_before = valid_before - interval '1 day'")),
        (*PAID, PAYMENT.format("valid_before = valid_before + interval '1 day'")),
        {"history_differs", "run_not_paid"},
        frozenset({"landed_not_paid"}),
    ),
    "a payment that failed although it landed": Corruption(
        behind(PAYMENT.format("state = 'failed', proved_at = now()")),
        PAID,
        {"history_differs", "run_not_paid"},
        frozenset({"landed_not_paid"}),
    ),
    "a payment that failed, whose authorization paid for something else": Corruption(
        behind(PAYMENT.format("state = 'failed', proved_at = now(), amount_atomic = amount_atomic + 1")),
        (*PAID, PAYMENT.format("amount_atomic = amount_atomic - 1")),
        {"history_differs", "run_not_paid", "usage_amount"},
        frozenset({"transfer_foreign"}),
    ),
    "the history of a payment": Corruption(
        (HISTORY.format("unknown", "paid"),),
        (HISTORY.format("paid", "unknown"),),
        {"history_differs"},
    ),
    "an execution that is void although it was paid": Corruption(
        (EXECUTION.format("state = 'void', code = NULL, fault = NULL"),),
        (EXECUTION.format("state = 'failed', code = 'resource_unavailable', fault = 'provider'"),),
        {"paid_not_run", "usage_surplus"},
        of="failed",
    ),
    "a lost usage row": Corruption(
        (
            EXECUTION.format("finished_at = finished_at - interval '2 minutes'"),
            "DELETE FROM usage_log WHERE execution_id = %(id)s",
        ),
        (EXECUTION.format("logged_round = 0"),),  # and recovery logs it
        {"usage_missing"},
    ),
    "a lost usage row of an earlier round": Corruption(
        ("UPDATE usage_log SET round = 3 WHERE execution_id = %(id)s AND round = 1",),
        ("UPDATE usage_log SET round = 1 WHERE execution_id = %(id)s AND round = 3",),
        {"usage_missing", "usage_surplus"},
        of="failed",
    ),
    "the amount of a usage row": Corruption(
        (USAGE.format("amount_atomic = amount_atomic - 1", 1),),
        (USAGE.format("amount_atomic = amount_atomic + 1", 1),),
        {"usage_amount"},
    ),
    "an amount on a later round": Corruption(
        (USAGE.format("amount_atomic = 1", 2),), (USAGE.format("amount_atomic = 0", 2),), {"usage_amount"}, of="failed"
    ),
    "the outcome of a usage row": Corruption(
        (USAGE.format("outcome = 'declined'", 1),), (USAGE.format("outcome = 'succeeded'", 1),), {"usage_outcome"}
    ),
    "a refund of what was answered": Corruption(
        (
            "INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, reason)"
            " VALUES (%(id)s, %(payment_id)s, %(account_id)s, 1, 'practice')",
        ),
        ("DELETE FROM refunds",),
        {"refund_differs"},
    ),
    "a failure that is not owed": Corruption(
        (EXECUTION.format("rerun_until = NULL"),),
        (EXECUTION.format("rerun_until = %(rerun_until)s"),),
        {"owed_not_due"},
        of="failed",
    ),
}
