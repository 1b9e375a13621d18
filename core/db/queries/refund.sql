-- name: fall_due(rerun_limit)
-- Paid executions that failed without the buyer's fault and have no re-run left, in number or time: a refund is due.
-- The same statement removes the re-run, so that a concurrent one cannot run what is refunded.
WITH lapsed AS (
    UPDATE executions SET rerun_until = NULL
    FROM payments
    WHERE payments.id = executions.payment_id AND executions.state = 'failed' AND payments.state = 'paid'
        AND executions.rerun_until IS NOT NULL AND NOT may_rerun(executions, :rerun_limit)
        AND NOT EXISTS (SELECT 1 FROM refunds WHERE refunds.execution_id = executions.id)
    RETURNING executions.id, payments.id AS payment_id, executions.account_id, payments.amount_atomic, executions.detail
)
INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, reason)
SELECT id, payment_id, account_id, amount_atomic, detail FROM lapsed
RETURNING execution_id;

-- name: listing(state, handle, most)
-- Refunds, oldest first, with everything that is needed to pay them, and the transfer that may pay or has paid them.
-- types: row=Refund
SELECT refunds.execution_id, accounts.handle, payments.payer, payments.network, refunds.amount_atomic, refunds.state,
    refunds.reason, refunds.transaction, refunds.note, refunds.due_at, refunds.decided_at, transfer.payer AS paid_from,
    transfer.state AS transfer
FROM refunds
JOIN payments ON payments.id = refunds.payment_id
JOIN accounts ON accounts.id = refunds.account_id
LEFT JOIN refund_transfers AS transfer ON transfer.id = refunds.transfer_id
WHERE (:state::text IS NULL OR refunds.state = :state) AND (:handle::text IS NULL OR accounts.handle = :handle)
ORDER BY refunds.due_at
LIMIT :most;

-- name: record(execution_id, transaction, note)^
-- The refund was paid by this transfer. Only a due refund can be recorded, and not while a transfer of ours may pay it.
UPDATE refunds SET state = 'recorded', transaction = :transaction, note = :note, decided_at = now()
WHERE execution_id = :execution_id AND state = 'due' AND transfer_id IS NULL
RETURNING execution_id;

-- name: waive(execution_id, note)^
-- The refund will not be paid, with the reason. Only a due refund can be waived, and not while a transfer may pay it.
UPDATE refunds SET state = 'waived', note = :note, decided_at = now()
WHERE execution_id = :execution_id AND state = 'due' AND transfer_id IS NULL
RETURNING execution_id;

-- name: is_bound(execution_id)$
-- Whether a transfer of ours may pay a due refund.
SELECT EXISTS (SELECT FROM refunds WHERE execution_id = :execution_id AND state = 'due' AND transfer_id IS NOT NULL);
