-- name: reserve(execution_ids, rounds, usd)$
-- Reserve the worst-case costs of these rounds, and return how many were reserved; `spend_obstacle` then says whether they
-- fit. A released reservation of a refused payment that came back is taken again. The lock on the day's row makes a
-- creator's claims wait for each other, in one order of creators; where a month is capped, so does the lock on the
-- account, because at midnight two claims have days of their own.
WITH asked AS (
    SELECT asked.execution_id, asked.round, asked.usd, executions.account_id
    FROM unnest(:execution_ids::uuid[], :rounds::integer[], :usd::numeric[]) AS asked (execution_id, round, usd)
    JOIN executions ON executions.id = asked.execution_id
), capped_by_month AS (
    SELECT id FROM accounts
    WHERE id IN (SELECT account_id FROM asked) AND (monthly_spend_cap_usd IS NOT NULL OR EXISTS (
        SELECT FROM resources WHERE resources.account_id = accounts.id AND resources.monthly_spend_cap_usd IS NOT NULL
    ))
    ORDER BY id
    FOR NO KEY UPDATE
), day AS (
    INSERT INTO spend_days AS spend (account_id, day, reserved_usd)
    SELECT account_id, (now() AT TIME ZONE 'UTC')::date, sum(usd)
    FROM asked
    -- Always true: it takes the locks before the first row.
    WHERE (SELECT count(*) FROM capped_by_month) >= 0
    GROUP BY account_id
    ORDER BY account_id
    ON CONFLICT (account_id, day) DO UPDATE SET reserved_usd = spend.reserved_usd + excluded.reserved_usd
    RETURNING account_id, day
), held AS (
    INSERT INTO reservations AS held (execution_id, round, account_id, day, reserved_usd)
    SELECT execution_id, round, account_id, day, usd FROM asked JOIN day USING (account_id)
    ON CONFLICT (execution_id, round) DO UPDATE
    SET day = excluded.day, reserved_usd = excluded.reserved_usd, spent_usd = NULL, released_at = NULL
    WHERE held.released_at IS NOT NULL
    RETURNING execution_id
)
SELECT count(*) FROM held;

-- name: spend_obstacle(execution_ids, rounds)$
-- The first cap that the new reservations do not fit into, NULL if they fit; runs under the locks that `reserve` took.
SELECT min(spend_obstacle(accounts, resources, reservations.day, reservations.reserved_usd, 0))
FROM reservations
JOIN unnest(:execution_ids::uuid[], :rounds::integer[]) AS asked (execution_id, round) USING (execution_id, round)
JOIN executions ON executions.id = reservations.execution_id
JOIN resource_versions ON resource_versions.id = executions.version_id
JOIN resources ON resources.id = resource_versions.resource_id
JOIN accounts ON accounts.id = reservations.account_id;

-- name: queues_have_room(execution_ids)$
-- Whether these executions fit their creators' queues, also the held ones once they are paid; runs under the locks of
-- the creators' spend_days rows.
SELECT bool_and(count_waiting(accounts.id) + coming.held <= accounts.queue_limit)
FROM (
    SELECT account_id, count(*) FILTER (WHERE state = 'held') AS held
    FROM executions
    WHERE id = ANY(:execution_ids)
    GROUP BY account_id
) AS coming
JOIN accounts ON accounts.id = coming.account_id;

-- name: extend(execution_id, round, usd)^
-- One more send may cost as much again: reserve that too; `spend_obstacle` then says whether it fits. The locks are those
-- of `reserve`, in the same order.
WITH capped_by_month AS (
    SELECT accounts.id FROM accounts JOIN reservations ON reservations.account_id = accounts.id
    WHERE execution_id = :execution_id AND round = :round AND (monthly_spend_cap_usd IS NOT NULL OR EXISTS (
        SELECT FROM resources WHERE resources.account_id = accounts.id AND resources.monthly_spend_cap_usd IS NOT NULL
    ))
    FOR NO KEY UPDATE OF accounts
), held AS (
    SELECT account_id, day FROM reservations
    WHERE execution_id = :execution_id AND round = :round AND released_at IS NULL
        AND (SELECT count(*) FROM capped_by_month) >= 0
    FOR UPDATE
), taken AS (
    UPDATE spend_days SET reserved_usd = spend_days.reserved_usd + :usd
    FROM held
    WHERE spend_days.account_id = held.account_id AND spend_days.day = held.day
    RETURNING spend_days.account_id
)
UPDATE reservations SET reserved_usd = reserved_usd + :usd
WHERE execution_id = :execution_id AND round = :round AND EXISTS (SELECT 1 FROM taken)
RETURNING reserved_usd;

-- name: lock(execution_ids, rounds)!
-- Concurrent settlements of a round wait for each other, so that each sees what the previous one wrote.
SELECT 1
FROM reservations
JOIN unnest(:execution_ids::uuid[], :rounds::integer[]) AS asked (execution_id, round) USING (execution_id, round)
ORDER BY execution_id, round
FOR UPDATE OF reservations;

-- name: lock_days(execution_ids, rounds)!
-- Creators' days are locked in one order, so that concurrent settlements never deadlock.
SELECT 1
FROM spend_days
WHERE (account_id, day) IN (
    SELECT account_id, day
    FROM reservations
    JOIN unnest(:execution_ids::uuid[], :rounds::integer[]) AS asked (execution_id, round) USING (execution_id, round)
)
ORDER BY account_id, day
FOR UPDATE;

-- name: settle(execution_ids, rounds, providers, credit_percents)!
-- Replace the reservation of finished rounds by the costs of their sends, with what buying the credit for them costs. A
-- send of unknown cost counts at its worst, which has that in it. `sends` and the usage log keep what was billed.
WITH held AS (
    SELECT execution_id, reservations.round, reservations.account_id, reservations.day,
        coalesce(reservations.spent_usd, 0) AS spent_usd,
        CASE WHEN reservations.released_at IS NULL THEN reservations.reserved_usd ELSE 0 END AS reserved_usd,
        (
            SELECT coalesce(sum(coalesce(
                sends.cost_usd * (1 + coalesce(credit.percent, 0) / 100),
                repriced.worst_cost_usd, resource_versions.worst_cost_usd
            )), 0)
            FROM sends
            WHERE sends.execution_id = reservations.execution_id AND sends.round = reservations.round
        ) AS cost_usd
    FROM unnest(:execution_ids::uuid[], :rounds::integer[]) AS asked (execution_id, round)
    JOIN reservations USING (execution_id, round)
    JOIN executions ON executions.id = execution_id
    JOIN resource_versions ON resource_versions.id = executions.version_id
    JOIN models ON models.id = resource_versions.model_id
    LEFT JOIN unnest(:providers::text[], :credit_percents::numeric[]) AS credit (provider, percent)
        ON credit.provider = models.served_by
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = resource_versions.id
    WHERE executions.round > reservations.round OR executions.state NOT IN ('held', 'queued', 'running')
), released AS (
    UPDATE reservations SET released_at = coalesce(released_at, now()), spent_usd = held.cost_usd
    FROM held
    WHERE reservations.execution_id = held.execution_id AND reservations.round = held.round
), days AS (
    SELECT account_id, day, sum(reserved_usd) AS reserved_usd, sum(cost_usd - spent_usd) AS spent_usd
    FROM held
    GROUP BY account_id, day
)
UPDATE spend_days
SET reserved_usd = spend_days.reserved_usd - days.reserved_usd, spent_usd = spend_days.spent_usd + days.spent_usd
FROM days
WHERE spend_days.account_id = days.account_id AND spend_days.day = days.day;

-- name: correct(execution_ids, rounds)!
-- Correct the usage rows of logged rounds by what became known since; rows that already agree are not touched.
WITH used AS (
    SELECT execution_id, sends.round, executions.created_at, reservations.spent_usd,
        CASE WHEN bool_and(sends.cost_usd IS NOT NULL) THEN sum(sends.cost_usd) END AS cost_usd,
        (array_agg(sends.generation_id ORDER BY sends.number DESC) FILTER (WHERE sends.generation_id IS NOT NULL))[1]
            AS generation_id
    FROM unnest(:execution_ids::uuid[], :rounds::integer[]) AS asked (execution_id, round)
    JOIN sends USING (execution_id, round)
    LEFT JOIN reservations USING (execution_id, round)
    JOIN executions ON executions.id = execution_id AND executions.logged_round >= sends.round
    GROUP BY execution_id, sends.round, executions.created_at, reservations.spent_usd
)
UPDATE usage_log SET cost_usd = used.cost_usd, spent_usd = used.spent_usd, generation_id = used.generation_id
FROM used
WHERE usage_log.execution_id = used.execution_id AND usage_log.round = used.round
    AND usage_log.created_at = used.created_at
    AND (usage_log.cost_usd, usage_log.spent_usd, usage_log.generation_id)
        IS DISTINCT FROM (used.cost_usd, used.spent_usd, used.generation_id);

-- name: log(ids)
-- Write one usage row per finished round, and queue what webhooks are told of it. A round that is logged already is not
-- found again.
WITH finished AS (
    SELECT * FROM executions
    WHERE logged_round < round AND state IN ('succeeded', 'failed', 'declined')
        AND (:ids::uuid[] IS NULL OR id = ANY(:ids::uuid[]))
    ORDER BY finished_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), used AS (
    SELECT execution_id, round,
        (array_agg(model_served ORDER BY number DESC) FILTER (WHERE model_served IS NOT NULL))[1] AS model_served,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        CASE WHEN bool_and(cost_usd IS NOT NULL) THEN sum(cost_usd) END AS cost_usd,
        (array_agg(generation_id ORDER BY number DESC) FILTER (WHERE generation_id IS NOT NULL))[1] AS generation_id,
        milliseconds(max(ended_at) - min(sent_at)) AS upstream_ms
    FROM sends
    WHERE (execution_id, round) IN (SELECT id, round FROM finished)
    GROUP BY execution_id, round
), forgotten AS (
    UPDATE sends SET sealed_request = NULL
    FROM finished
    WHERE sends.execution_id = finished.id AND sends.round = finished.round
), logged AS (
    INSERT INTO usage_log (
        execution_id, round, created_at, kind, account_id, version_id, model_id, model_served, network, amount_atomic,
        outcome, code, fault, detail, sends, input_tokens, output_tokens, cost_usd, spent_usd, settle_ms, queue_ms,
        upstream_ms, total_ms, generation_id, truncated, leak
    )
    SELECT finished.id, finished.round, finished.created_at, finished.kind, finished.account_id, finished.version_id,
        resource_versions.model_id, used.model_served, payments.network,
        CASE WHEN finished.round = 1 THEN coalesce(payments.amount_atomic, 0) ELSE 0 END,
        finished.state, finished.code, finished.fault, finished.detail, finished.sends, used.input_tokens,
        used.output_tokens, CASE WHEN used.execution_id IS NULL THEN 0 ELSE used.cost_usd END,
        coalesce(reservations.spent_usd, reservations.reserved_usd, used.cost_usd, 0),
        CASE WHEN finished.round = 1 THEN milliseconds(payments.decided_at - payments.created_at) END,
        milliseconds(finished.call_started_at - finished.queued_at),
        used.upstream_ms,
        milliseconds(finished.finished_at - CASE
            WHEN finished.round = 1 THEN finished.created_at
            ELSE finished.queued_at
        END),
        used.generation_id, finished.truncated, finished.leak
    FROM finished
    JOIN resource_versions ON resource_versions.id = finished.version_id
    LEFT JOIN payments ON payments.id = finished.payment_id
    LEFT JOIN used ON used.execution_id = finished.id AND used.round = finished.round
    LEFT JOIN reservations ON reservations.execution_id = finished.id AND reservations.round = finished.round
), told AS (
    INSERT INTO notice_deliveries (webhook_id, event, execution_id, round, to_operator, name)
    SELECT webhooks.id, happened.event, finished.id, finished.round, false, webhooks.name
    FROM finished
    JOIN webhooks ON webhooks.account_id = finished.account_id AND webhooks.disabled_at IS NULL
    CROSS JOIN LATERAL (VALUES
        ('call.sold', finished.kind = 'paid' AND finished.round = 1), ('call.failed', finished.state = 'failed')
    ) AS happened (event, is_so)
    WHERE happened.is_so AND happened.event = ANY(webhooks.events)
)
UPDATE executions SET logged_round = executions.round
FROM finished WHERE executions.id = finished.id
RETURNING executions.id;
