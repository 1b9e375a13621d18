-- name: fall_due(rerun_limit)
-- Paid, failed, not the buyer's fault, and no re-run left in number or in time: from now on it is owed. Taking the
-- re-run away in the same statement keeps one that comes at the same moment from running what is paid back.
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
-- What is owed or was, oldest first, with everything that is needed to pay it back.
-- types: row=Refund
SELECT refunds.execution_id, accounts.handle, payments.payer, payments.network, refunds.amount_atomic, refunds.state,
    refunds.reason, refunds.transaction, refunds.note, refunds.due_at, refunds.decided_at
FROM refunds
JOIN payments ON payments.id = refunds.payment_id
JOIN accounts ON accounts.id = refunds.account_id
WHERE (:state::text IS NULL OR refunds.state = :state) AND (:handle::text IS NULL OR accounts.handle = :handle)
ORDER BY refunds.due_at
LIMIT :most;

-- name: record(execution_id, transaction, note)^
-- It was paid back, by this transfer. Said once.
UPDATE refunds SET state = 'recorded', transaction = :transaction, note = :note, decided_at = now()
WHERE execution_id = :execution_id AND state = 'due'
RETURNING execution_id;

-- name: waive(execution_id, note)^
-- It will not be paid back, and this is why. Said once.
UPDATE refunds SET state = 'waived', note = :note, decided_at = now()
WHERE execution_id = :execution_id AND state = 'due'
RETURNING execution_id;
