-- name: find_payments(id, transaction)
-- A payment by its own id, its execution's id or its transaction, with resource and creator.
-- types: row=PaymentRow :id? :transaction?
SELECT payments.id, payments.state, payments.reason, payments.transaction, payments.network, payments.asset,
    payments.payer, payments.nonce, payments.pay_to, payments.amount_atomic, payments.created_at,
    payments.decided_at, payments.valid_before, payments.proved_at, executions.id AS execution_id,
    executions.state AS execution_state, executions.code, executions.fault, executions.detail, executions.round,
    executions.rerun_until, accounts.handle, resources.slug, resource_versions.number AS version,
    refunds.state AS refund_state
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
JOIN resource_versions ON resource_versions.id = payments.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = resources.account_id
LEFT JOIN refunds ON refunds.payment_id = payments.id
WHERE payments.id = :id::uuid OR executions.id = :id::uuid OR payments.transaction = :transaction::text;

-- name: timeline(payment_id)
-- All events of one payment and its execution, in order.
-- types: row=Event
WITH mine AS (
    SELECT id FROM executions WHERE payment_id = :payment_id
)
SELECT at, 'payment ' || to_state AS event, NULL::integer AS round, reason AS detail, transaction,
    NULL::uuid AS flow_run_id
FROM payment_transitions
WHERE payment_id = :payment_id
UNION ALL
SELECT started_at, 'run begun', round, reason, NULL, flow_run_id FROM attempts JOIN mine ON mine.id = execution_id
UNION ALL
SELECT sent_at, 'call sent', round, concat('send ', number), NULL, NULL FROM sends JOIN mine ON mine.id = execution_id
UNION ALL
SELECT ended_at, 'call ended', round, concat_ws(', ', outcome, 'US$ ' || cost_usd, generation_id), NULL, NULL
FROM sends JOIN mine ON mine.id = execution_id
WHERE ended_at IS NOT NULL
UNION ALL
SELECT ended_at, 'run ended', round, outcome, NULL, flow_run_id
FROM attempts JOIN mine ON mine.id = execution_id
WHERE ended_at IS NOT NULL
UNION ALL
SELECT released_at, 'reservation released', round,
    concat('US$ ', trim_scale(reserved_usd), ' reserved, ', trim_scale(spent_usd), ' counted as spent'), NULL, NULL
FROM reservations JOIN mine ON mine.id = execution_id
WHERE released_at IS NOT NULL
UNION ALL
SELECT logged_at, 'usage logged', round, concat_ws(', ', outcome, code, amount_atomic || ' atomic units'), NULL, NULL
FROM usage_log JOIN mine ON mine.id = execution_id
UNION ALL
SELECT due_at, 'refund due', NULL, reason, NULL, NULL FROM refunds WHERE payment_id = :payment_id
UNION ALL
SELECT created_at, 'refund transfer recorded', NULL, concat('from ', payer), NULL, NULL
FROM refund_transfers JOIN mine ON mine.id = execution_id
UNION ALL
SELECT decided_at, 'refund transfer ' || state, NULL, concat_ws(', ', 'from ' || payer, reason), transaction, NULL
FROM refund_transfers JOIN mine ON mine.id = execution_id
WHERE decided_at IS NOT NULL
UNION ALL
SELECT decided_at, 'refund ' || state, NULL, note, transaction, NULL
FROM refunds
WHERE payment_id = :payment_id AND decided_at IS NOT NULL
ORDER BY at;

-- name: listing(network, state, handle, most)
-- The newest payments, of one network, state or creator.
-- types: row=ListedPayment
SELECT payments.id, payments.created_at, payments.state, payments.reason, payments.amount_atomic, payments.network,
    payments.payer, payments.transaction, accounts.handle, resources.slug, executions.id AS execution_id,
    executions.state AS execution_state, refunds.state AS refund_state
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
JOIN resource_versions ON resource_versions.id = payments.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = resources.account_id
LEFT JOIN refunds ON refunds.payment_id = payments.id
WHERE (:network::text IS NULL OR payments.network = :network) AND (:state::text IS NULL OR payments.state = :state)
    AND (:handle::text IS NULL OR accounts.handle = :handle)
ORDER BY payments.created_at DESC
LIMIT :most;
