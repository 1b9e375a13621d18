-- name: sums(network, since)
-- Sum the payments by state of the money: each payment is in exactly one, so the sums add up.
SELECT payments.network, payments.asset,
    CASE
        WHEN payments.state IN ('settling', 'unknown') THEN 'undecided'
        WHEN payments.state = 'failed' THEN 'failed'
        WHEN executions.state IN ('succeeded', 'declined') THEN 'answered'
        WHEN executions.state IN ('queued', 'running') THEN 'in_flight'
        WHEN executions.state = 'failed' AND refunds.state = 'due' THEN 'refund_due'
        WHEN executions.state = 'failed' AND refunds.state = 'recorded' THEN 'refunded'
        WHEN executions.state = 'failed' AND refunds.state = 'waived' THEN 'waived'
        WHEN executions.state = 'failed' THEN 'rerunnable'
        ELSE 'unaccounted'
    END AS place,
    count(*) AS payments, sum(payments.amount_atomic)::bigint AS amount_atomic
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
LEFT JOIN refunds ON refunds.execution_id = executions.id
WHERE (:network::text IS NULL OR payments.network = :network)
    AND (:since::timestamptz IS NULL OR payments.created_at >= :since)
GROUP BY 1, 2, 3;

-- name: compare_executions(network, since)
-- Payments without an execution, and executions that run unpaid. Both sides change in one transaction: no grace period.
-- types: row=DifferenceRow
SELECT
    CASE
        WHEN payments.state = 'paid' THEN 'paid_not_run'
        WHEN executions.state IN ('queued', 'running', 'succeeded', 'failed', 'declined') THEN 'run_not_paid'
        ELSE 'hold_differs'
    END AS code,
    concat('The payment is ', payments.state, ', but its execution ',
        coalesce('is ' || executions.state, 'does not exist'), '.') AS sentence,
    payments.network, payments.id AS payment_id, executions.id AS execution_id, executions.account_id,
    payments.transaction
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
WHERE (:network::text IS NULL OR payments.network = :network)
    AND (:since::timestamptz IS NULL OR payments.created_at >= :since)
    AND NOT coalesce(CASE payments.state
        WHEN 'paid' THEN executions.state IN ('queued', 'running', 'succeeded', 'failed', 'declined')
        WHEN 'failed' THEN executions.state = 'void'
        ELSE executions.state = 'held'
    END, false)
ORDER BY payments.created_at;

-- name: compare_usage(network, since, grace_seconds)
-- Every finished round has one usage row, and the first carries the amount paid. Only the last round's may be missing
-- for a moment. Months whose rows were dropped are compared by their sums instead.
-- types: row=DifferenceRow
WITH scope AS (
    SELECT executions.id, executions.payment_id, executions.account_id, executions.state, executions.round,
        executions.round - (executions.state NOT IN ('succeeded', 'failed', 'declined'))::integer AS rounds,
        executions.finished_at, payments.network, payments.transaction,
        coalesce(payments.amount_atomic, 0) AS amount_atomic
    FROM executions
    LEFT JOIN payments ON payments.id = executions.payment_id
    WHERE (:network::text IS NULL OR payments.network = :network)
        AND (:since::timestamptz IS NULL OR executions.created_at >= :since)
        AND NOT EXISTS (
            SELECT FROM usage_dropped WHERE month = date_trunc('month', executions.created_at, 'UTC')
        )
), finished AS (
    SELECT scope.id, number, CASE WHEN number = 1 THEN amount_atomic ELSE 0 END AS amount_atomic,
        CASE WHEN number = scope.round THEN scope.state ELSE 'failed' END AS outcome,
        CASE WHEN number = scope.round THEN finished_at ELSE '-infinity' END AS finished_at
    FROM scope
    CROSS JOIN LATERAL generate_series(1, rounds) AS number
), compared AS (
    SELECT coalesce(finished.id, usage_log.execution_id) AS id,
        CASE
            WHEN usage_log.execution_id IS NULL THEN 'usage_missing'
            WHEN finished.id IS NULL THEN 'usage_surplus'
            WHEN usage_log.amount_atomic <> finished.amount_atomic THEN 'usage_amount'
            ELSE 'usage_outcome'
        END AS code,
        CASE
            WHEN usage_log.execution_id IS NULL
                THEN concat('Round ', finished.number, ' has ended and has no usage row.')
            WHEN finished.id IS NULL
                THEN concat('Round ', usage_log.round, ' has a usage row and has not ended.')
            WHEN usage_log.amount_atomic <> finished.amount_atomic
                THEN concat('Round ', finished.number, ' is logged with ', usage_log.amount_atomic,
                    ' atomic units, and should be with ', finished.amount_atomic, '.')
            ELSE concat('Round ', finished.number, ' is logged as ', usage_log.outcome, ', and was ',
                finished.outcome, '.')
        END AS sentence
    FROM finished
    FULL JOIN (
        SELECT usage_log.* FROM usage_log JOIN scope ON scope.id = usage_log.execution_id
    ) AS usage_log ON usage_log.execution_id = finished.id AND usage_log.round = finished.number
    WHERE (usage_log.execution_id IS NULL AND finished.finished_at < now() - make_interval(secs => :grace_seconds))
        OR finished.id IS NULL
        OR usage_log.amount_atomic <> finished.amount_atomic
        OR usage_log.outcome <> finished.outcome
)
SELECT compared.code, compared.sentence, scope.network, scope.payment_id, scope.id AS execution_id, scope.account_id,
    scope.transaction
FROM compared
JOIN scope ON scope.id = compared.id
ORDER BY scope.finished_at;

-- name: compare_dropped(network, since)
-- For months whose rows were dropped: their rollups plus rows logged later must equal the finished rounds.
-- types: row=DifferenceRow
WITH months AS (
    SELECT month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' AS ends
    FROM usage_dropped
    WHERE :since::timestamptz IS NULL OR month >= :since
), ended AS (
    SELECT month, executions.account_id, coalesce(payments.network, '') AS network,
        sum(executions.round - (executions.state NOT IN ('succeeded', 'failed', 'declined'))::integer) AS rounds,
        coalesce(sum(payments.amount_atomic) FILTER (
            WHERE executions.round > 1 OR executions.state IN ('succeeded', 'failed', 'declined')
        ), 0) AS amount_atomic
    FROM months
    JOIN executions ON executions.created_at >= month AND executions.created_at < ends
    LEFT JOIN payments ON payments.id = executions.payment_id
    GROUP BY 1, 2, 3
), counted AS (
    SELECT month, account_id, coalesce(network, '') AS network, sum(calls) AS rounds, sum(amount_atomic) AS amount_atomic
    FROM (
        SELECT month, account_id, network, calls, revenue_atomic AS amount_atomic
        FROM months
        JOIN usage_rollup ON span = 'hour' AND starts_at >= month AND starts_at < ends AND log_dropped_at IS NOT NULL
        UNION ALL
        SELECT month, account_id, network, 1, amount_atomic
        FROM months
        JOIN usage_log ON created_at >= month AND created_at < ends
    ) AS parts
    GROUP BY 1, 2, 3
)
SELECT 'usage_dropped' AS code,
    concat(to_char(month AT TIME ZONE 'UTC', 'YYYY-MM'), ': ', coalesce(ended.rounds, 0), ' rounds with ',
        coalesce(ended.amount_atomic, 0), ' atomic units had ended, but ', coalesce(counted.rounds, 0), ' with ',
        coalesce(counted.amount_atomic, 0), ' were counted from the usage log before its rows were dropped.'
    ) AS sentence,
    nullif(network, '') AS network, NULL::uuid AS payment_id, NULL::uuid AS execution_id, account_id,
    NULL::text AS transaction
FROM ended
FULL JOIN counted USING (month, account_id, network)
WHERE (coalesce(ended.rounds, 0) <> coalesce(counted.rounds, 0)
        OR coalesce(ended.amount_atomic, 0) <> coalesce(counted.amount_atomic, 0))
    AND (:network::text IS NULL OR network = :network)
ORDER BY month;

-- name: compare_refunds(network, since, rerun_limit, grace_seconds)
-- Paid means answered or owed: a failed execution is owed when no re-run is left, and an answered one never is.
-- types: row=DifferenceRow
SELECT
    CASE WHEN refunds.execution_id IS NULL THEN 'owed_not_due' ELSE 'refund_differs' END AS code,
    CASE
        WHEN refunds.execution_id IS NULL THEN 'It failed, no re-run is left, and no refund is due.'
        WHEN refunds.amount_atomic <> payments.amount_atomic
            THEN concat('The refund is of ', refunds.amount_atomic, ' atomic units, the payment of ',
                payments.amount_atomic, '.')
        ELSE concat('There is a refund, but its execution is ', executions.state, '.')
    END AS sentence,
    payments.network, payments.id AS payment_id, executions.id AS execution_id, executions.account_id,
    payments.transaction
FROM executions
JOIN payments ON payments.id = executions.payment_id
LEFT JOIN refunds ON refunds.execution_id = executions.id
WHERE (:network::text IS NULL OR payments.network = :network)
    AND (:since::timestamptz IS NULL OR payments.created_at >= :since)
    AND CASE
        WHEN refunds.execution_id IS NOT NULL
            THEN executions.state <> 'failed' OR refunds.amount_atomic <> payments.amount_atomic
        ELSE executions.state = 'failed' AND payments.state = 'paid'
            AND rerun_ends_at(executions, :rerun_limit) < now() - make_interval(secs => :grace_seconds)
    END
ORDER BY payments.created_at;

-- name: compare_history(network, since)
-- A trigger writes the history: a payment that differs from its last history row was changed while the trigger was off.
-- types: row=DifferenceRow
SELECT 'history_differs' AS code,
    CASE
        WHEN last.to_state IS DISTINCT FROM payments.state
            THEN concat('The payment is ', payments.state, ', but its history ends with ',
                coalesce(last.to_state, 'nothing'), '.')
        ELSE 'The payment names another transaction than its history.'
    END AS sentence,
    payments.network, payments.id AS payment_id, executions.id AS execution_id, executions.account_id,
    payments.transaction
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
LEFT JOIN LATERAL (
    SELECT to_state, transaction FROM payment_transitions
    WHERE payment_transitions.payment_id = payments.id
    ORDER BY payment_transitions.id DESC
    LIMIT 1
) AS last ON true
WHERE (:network::text IS NULL OR payments.network = :network)
    AND (:since::timestamptz IS NULL OR payments.created_at >= :since)
    AND (last.to_state IS DISTINCT FROM payments.state OR last.transaction IS DISTINCT FROM payments.transaction)
ORDER BY payments.created_at;

-- name: compare_transactions(network, since)
-- Several payments that name the same transfer. A transaction may hold several transfers; then the chain decides.
-- types: row=DifferenceRow
WITH alike AS (
    SELECT id, network, transaction, created_at,
        count(*) OVER (PARTITION BY network, asset, transaction, payer, pay_to, amount_atomic) AS payments
    FROM payments
    WHERE state = 'paid' AND (:network::text IS NULL OR network = :network)
)
SELECT 'transfer_shared' AS code,
    concat(alike.payments, ' payments of the same payer, recipient and amount name this transaction.') AS sentence,
    alike.network, alike.id AS payment_id, executions.id AS execution_id, executions.account_id, alike.transaction
FROM alike
LEFT JOIN executions ON executions.payment_id = alike.id
WHERE alike.payments > 1 AND (:since::timestamptz IS NULL OR alike.created_at >= :since)
ORDER BY alike.transaction, alike.created_at;

-- name: compare_spend(since)
-- A creator's spending of a day is the sum of its reservations. Both change in one statement.
-- types: row=DifferenceRow
SELECT 'spend_differs' AS code,
    concat(spend_days.day, ': US$ ', spend_days.reserved_usd, ' reserved and ', spend_days.spent_usd,
        ' spent, but the reservations say ', coalesce(held.reserved_usd, 0), ' and ', coalesce(held.spent_usd, 0),
        '.') AS sentence,
    NULL::text AS network, NULL::uuid AS payment_id, NULL::uuid AS execution_id, spend_days.account_id,
    NULL::text AS transaction
FROM spend_days
LEFT JOIN (
    SELECT account_id, day, coalesce(sum(reserved_usd) FILTER (WHERE released_at IS NULL), 0) AS reserved_usd,
        coalesce(sum(spent_usd) FILTER (WHERE released_at IS NOT NULL), 0) AS spent_usd
    FROM reservations
    GROUP BY account_id, day
) AS held ON held.account_id = spend_days.account_id AND held.day = spend_days.day
WHERE (:since::timestamptz IS NULL OR spend_days.day >= (:since AT TIME ZONE 'UTC')::date)
    AND (spend_days.reserved_usd <> coalesce(held.reserved_usd, 0)
        OR spend_days.spent_usd <> coalesce(held.spent_usd, 0))
ORDER BY spend_days.day;

-- name: compare_resource_spend(since)
-- A resource's spending of a day is the sum of its reservations. Otherwise its own cap would not hold.
-- types: row=DifferenceRow
SELECT 'resource_spend_differs' AS code,
    concat(day, ': US$ ', coalesce(spend.reserved_usd, 0), ' reserved and ', coalesce(spend.spent_usd, 0),
        ' spent by the prompt ', resources.slug, ', but the reservations say ', coalesce(held.reserved_usd, 0), ' and ',
        coalesce(held.spent_usd, 0), '.') AS sentence,
    NULL::text AS network, NULL::uuid AS payment_id, NULL::uuid AS execution_id, resources.account_id,
    NULL::text AS transaction
FROM resource_spend_days AS spend
FULL JOIN (
    SELECT resource_versions.resource_id, reservations.day,
        coalesce(sum(reservations.reserved_usd) FILTER (WHERE released_at IS NULL), 0) AS reserved_usd,
        coalesce(sum(reservations.spent_usd) FILTER (WHERE released_at IS NOT NULL), 0) AS spent_usd
    FROM reservations
    JOIN executions ON executions.id = reservations.execution_id
    JOIN resource_versions ON resource_versions.id = executions.version_id
    GROUP BY resource_versions.resource_id, reservations.day
) AS held USING (resource_id, day)
JOIN resources ON resources.id = resource_id
WHERE (:since::timestamptz IS NULL OR day >= (:since AT TIME ZONE 'UTC')::date)
    AND (coalesce(spend.reserved_usd, 0), coalesce(spend.spent_usd, 0))
        <> (coalesce(held.reserved_usd, 0), coalesce(held.spent_usd, 0))
ORDER BY day;

-- name: addresses(network)
-- The addresses to watch, and since when: every address that buyers were asked to pay, now or before.
-- types: address!
SELECT lower(address) AS address, min(created_at) AS offered_at, NULL::timestamptz AS paid_at
FROM payout_addresses
WHERE network = :network
GROUP BY 1
UNION ALL
SELECT lower(next_address), next_from, NULL FROM payout_addresses WHERE network = :network AND next_from <= now()
UNION ALL
SELECT pay_to, NULL, min(created_at) FROM payments WHERE network = :network GROUP BY pay_to;

-- name: recognise(network, asset, payers, nonces, recipients, amounts, transactions, margin_seconds)
-- Compare transfers on the chain with the ledger. A transfer without a nonce was made without an authorization. A
-- transfer of another amount or recipient than its payment is foreign, unless the payment is recorded as paid. One that
-- was found after a restore is owed.
SELECT
    CASE
        WHEN payments.id IS NULL AND EXISTS (
            SELECT FROM refund_transfers AS refund
            WHERE refund.network = :network AND refund.asset = :asset AND refund.payer = seen.payer
                AND refund.nonce = seen.nonce
        ) THEN 'refund'
        WHEN payments.id IS NULL AND seen.nonce IS NULL THEN 'transfer_foreign'
        WHEN payments.id IS NULL AND found_transfers.nonce IS NOT NULL THEN 'transfer_found'
        WHEN payments.id IS NULL THEN 'transfer_unrecorded'
        WHEN payments.state = 'paid' AND same.money AND payments.transaction = seen.transaction THEN 'agrees'
        WHEN payments.state = 'paid' THEN 'transfer_differs'
        WHEN NOT same.money THEN 'transfer_foreign'
        WHEN payments.state = 'failed' THEN 'landed_not_paid'
        WHEN payments.valid_before < now() - make_interval(secs => :margin_seconds) THEN 'landed_not_paid'
        ELSE 'undecided'
    END AS code,
    seen.transaction, payments.id AS payment_id, payments.state, executions.id AS execution_id, executions.account_id,
    seen.payer, seen.recipient, seen.amount_atomic
FROM unnest(:payers::text[], :nonces::bytea[], :recipients::text[], :amounts::numeric[], :transactions::text[])
    AS seen (payer, nonce, recipient, amount_atomic, transaction)
LEFT JOIN payments ON payments.network = :network AND payments.asset = :asset AND payments.payer = seen.payer
    AND payments.nonce = seen.nonce
LEFT JOIN executions ON executions.payment_id = payments.id
LEFT JOIN found_transfers ON found_transfers.network = :network AND found_transfers.asset = :asset
    AND found_transfers.payer = seen.payer AND found_transfers.nonce = seen.nonce
CROSS JOIN LATERAL (
    SELECT payments.pay_to = seen.recipient AND payments.amount_atomic = seen.amount_atomic AS money
) AS same;

-- name: paid(network, asset, since, after, most)
-- One page of paid payments, by id, to be found among the chain's transfers. One that was claimed after its authorization
-- had ended, because the chain showed it, may have landed earlier than the transfers that were read.
-- types: decided_at!
SELECT payments.id AS payment_id, payments.transaction, payments.decided_at, executions.id AS execution_id,
    executions.account_id
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
WHERE payments.network = :network AND payments.asset = :asset AND payments.state = 'paid'
    AND payments.created_at >= :since AND payments.valid_before >= :since AND payments.id > :after
ORDER BY payments.id
LIMIT :most;

-- name: refunded(network, asset, since, after, most)
-- One page of refunds that transfers of ours paid, by transfer, to be looked up on the chain.
-- types: row=RefundedRow transaction! decided_at!
SELECT transfer.id, transfer.payer, transfer.nonce, transfer.pay_to, transfer.amount_atomic, transfer.transaction,
    transfer.decided_at, transfer.execution_id, transfer.account_id, refunds.payment_id
FROM refund_transfers AS transfer
JOIN refunds ON refunds.execution_id = transfer.execution_id
WHERE transfer.network = :network AND transfer.asset = :asset AND transfer.state = 'paid'
    AND transfer.decided_at >= :since AND transfer.id > :after
ORDER BY transfer.id
LIMIT :most;

-- name: compare_refund_transfers(network, since)
-- A refund that a transfer paid names it, and no refund but a due or paid one is bound to a transfer.
-- types: row=DifferenceRow
SELECT 'refund_differs' AS code,
    concat('The transfer is ', transfer.state, ', but its refund is ', refunds.state, coalesce(' by ' || refunds.transaction, ''), '.')
        AS sentence,
    payments.network, payments.id AS payment_id, refunds.execution_id, refunds.account_id, transfer.transaction
FROM refund_transfers AS transfer
JOIN refunds ON refunds.execution_id = transfer.execution_id
JOIN payments ON payments.id = refunds.payment_id
WHERE (:network::text IS NULL OR payments.network = :network)
    AND (:since::timestamptz IS NULL OR payments.created_at >= :since)
    AND NOT CASE transfer.state
        WHEN 'paid' THEN refunds.state = 'recorded' AND refunds.transaction = transfer.transaction
            AND refunds.transfer_id = transfer.id
        WHEN 'sending' THEN refunds.state = 'due' AND refunds.transfer_id IS NOT DISTINCT FROM transfer.id
        ELSE refunds.transfer_id IS DISTINCT FROM transfer.id
    END
ORDER BY payments.created_at;
