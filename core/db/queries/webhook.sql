-- name: add(id, account_id, name, events, sealed_endpoint, most)^
-- No row means that the limit of webhooks is reached, or that the id is taken; runs under `take_turns` of the notices.
INSERT INTO webhooks (id, account_id, name, events, sealed_endpoint)
SELECT :id, :account_id, :name, CAST(:events AS text[]), :sealed_endpoint
WHERE (SELECT count(*) FROM webhooks WHERE account_id = :account_id) < :most
ON CONFLICT (id) DO NOTHING
RETURNING id, created_at;

-- name: listing(account_id)
-- A creator's webhooks, with what waits for each.
-- types: row=WebhookRow waiting!
SELECT id, account_id, name, events, sealed_endpoint, created_at, delivered_at, disabled_at, (
        SELECT count(*) FROM notice_deliveries WHERE webhook_id = webhooks.id AND state IN ('waiting', 'sending')
    ) AS waiting
FROM webhooks WHERE account_id = :account_id ORDER BY created_at, id;

-- name: find(id, account_id)^
-- One of them, locked: its secrets may be about to change.
SELECT id, account_id, sealed_endpoint FROM webhooks WHERE id = :id AND account_id = :account_id FOR UPDATE;

-- name: put_endpoint(id, sealed_endpoint)!
-- The same URL with another secret.
UPDATE webhooks SET sealed_endpoint = :sealed_endpoint WHERE id = :id;

-- name: remove(id, account_id)!
-- What still waits for it fails, and stays in the log under its name.
DELETE FROM webhooks WHERE id = :id AND account_id = :account_id;

-- name: tell_of_notices(notice_ids)!
-- Queue what the webhooks of their creators are to be told of new notices.
INSERT INTO notice_deliveries (notice_id, webhook_id, event, to_operator, name)
SELECT notices.id, webhooks.id, event_of(notices), false, webhooks.name
FROM notices
JOIN webhooks ON webhooks.account_id = notices.account_id AND webhooks.disabled_at IS NULL
    AND event_of(notices) = ANY(webhooks.events)
WHERE notices.id = ANY(:notice_ids);

-- name: claim(pauses, lost_seconds, most)
-- Claim messages whose time has come, or whose sender never reported back. The try is counted before it is made; after
-- the n-th the n-th pause follows. One endpoint gets only a few at once, so that a slow one does not keep the others waiting.
-- types: row=Message event! facts=dict[str,object]|None :pauses[]!
WITH ranked AS (
    SELECT id, row_number() OVER (PARTITION BY webhook_id ORDER BY tried_at NULLS FIRST, id) AS place
    FROM notice_deliveries AS delivery
    WHERE event IS NOT NULL AND state IN ('waiting', 'sending')
        AND is_due(delivery, CAST(:pauses AS integer[]), :lost_seconds)
), claimed AS (
    UPDATE notice_deliveries SET state = 'sending', tries = tries + 1, tried_at = now()
    WHERE id IN (
        SELECT delivery.id FROM notice_deliveries AS delivery JOIN ranked ON ranked.id = delivery.id
        -- Once more, because another process may have claimed it meanwhile.
        WHERE ranked.place <= 5 AND is_due(delivery, CAST(:pauses AS integer[]), :lost_seconds)
        ORDER BY delivery.tried_at NULLS FIRST, delivery.id
        LIMIT :most
        FOR UPDATE OF delivery SKIP LOCKED
    )
    RETURNING id, webhook_id, event, notice_id, execution_id, round, tries, created_at
)
SELECT claimed.id, claimed.tries, claimed.event, claimed.created_at, claimed.webhook_id, webhooks.account_id,
    webhooks.sealed_endpoint, webhooks.disabled_at, notices.id AS notice_id, notices.rule, notices.facts,
    coalesce(noticed.slug, resources.slug) AS slug, resource_versions.number, usage_log.execution_id, usage_log.round,
    usage_log.outcome, usage_log.code, usage_log.fault, usage_log.detail, usage_log.amount_atomic, usage_log.cost_usd,
    usage_log.network, payments.transaction
FROM claimed
LEFT JOIN webhooks ON webhooks.id = claimed.webhook_id
LEFT JOIN notices ON notices.id = claimed.notice_id
LEFT JOIN resources AS noticed ON noticed.id = notices.resource_id
LEFT JOIN executions ON executions.id = claimed.execution_id
LEFT JOIN usage_log ON usage_log.execution_id = executions.id AND usage_log.created_at = executions.created_at
    AND usage_log.round = claimed.round
LEFT JOIN payments ON payments.id = executions.payment_id
LEFT JOIN resource_versions ON resource_versions.id = executions.version_id
LEFT JOIN resources ON resources.id = resource_versions.resource_id
ORDER BY claimed.id;

-- name: delivered(id)!
-- A delivery that was taken, and so a webhook that works.
WITH sent AS (
    UPDATE notice_deliveries SET state = 'sent', reason = NULL WHERE id = :id AND state = 'sending' RETURNING webhook_id
)
UPDATE webhooks SET delivered_at = now() FROM sent WHERE webhooks.id = sent.webhook_id;

-- name: not_delivered(id, reason)!
-- Wait for the next try.
UPDATE notice_deliveries SET state = 'waiting', reason = :reason WHERE id = :id AND state = 'sending';

-- name: given_up(id, reason)!
-- No try is left. If its webhook took nothing since this began to wait, nothing is sent there any more.
WITH failed AS (
    UPDATE notice_deliveries SET state = 'failed', reason = :reason WHERE id = :id AND state = 'sending'
    RETURNING webhook_id, created_at
)
UPDATE webhooks SET disabled_at = coalesce(disabled_at, now())
FROM failed
WHERE webhooks.id = failed.webhook_id AND (webhooks.delivered_at IS NULL OR webhooks.delivered_at < failed.created_at);

-- name: enable(id)!
-- A message was taken that its owner sent to try it.
UPDATE webhooks SET disabled_at = NULL, delivered_at = now() WHERE id = :id;

-- name: forget(days)!
-- What was said of calls, and is over.
DELETE FROM notice_deliveries
WHERE execution_id IS NOT NULL AND state IN ('sent', 'failed') AND created_at < now() - make_interval(days => :days);
