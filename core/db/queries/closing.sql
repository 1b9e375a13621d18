-- name: lock(account_id)!
-- A sale refers to its account, so none is claimed until this transaction ends.
SELECT FROM accounts WHERE id = :account_id FOR UPDATE;

-- name: obstacles(account_id)^
-- What an account cannot be closed with: calls that run, calls that are owed or may be run again, and refused payments
-- that may still land.
-- types: running! owed! undecided!
SELECT
    (SELECT count(*) FROM executions
     WHERE account_id = :account_id AND state IN ('held', 'queued', 'running')) AS running,
    (SELECT count(*) FROM executions
     WHERE account_id = :account_id AND state = 'failed' AND rerun_until IS NOT NULL)
        + (SELECT count(*) FROM refunds WHERE account_id = :account_id AND state = 'due') AS owed,
    (SELECT count(*) FROM executions JOIN payments ON payments.id = executions.payment_id
     WHERE executions.account_id = :account_id AND payments.state = 'failed' AND payments.proved_at IS NULL)
        AS undecided;

-- name: version_ids(account_id)
-- Every version, to be emptied.
SELECT resource_versions.id FROM resource_versions JOIN resources ON resources.id = resource_versions.resource_id
WHERE resources.account_id = :account_id;

-- name: empty_versions(ids, sealed_templates)!
-- Titles and prices stay, because receipts and reports name them.
UPDATE resource_versions AS version
SET sealed_template = emptied.sealed_template, description = '', parameters = '[]', answer_schema = NULL, tags = '{}',
    icon = NULL, example = NULL
FROM unnest(:ids::uuid[], :sealed_templates::bytea[]) AS emptied (id, sealed_template)
WHERE version.id = emptied.id;

-- name: close(account_id)!
-- Without a daily cap nothing is claimed on it any more, not even by whoever was ready to.
WITH archived AS (
    UPDATE resources SET archived_at = coalesce(archived_at, now()) WHERE account_id = :account_id
), key AS (
    DELETE FROM provider_keys WHERE account_id = :account_id
), token AS (
    UPDATE api_tokens SET revoked_at = now() WHERE account_id = :account_id AND revoked_at IS NULL
), session AS (
    UPDATE sessions SET ended_at = now() WHERE account_id = :account_id AND ended_at IS NULL
), wallet AS (
    DELETE FROM wallets WHERE account_id = :account_id
), identity AS (
    DELETE FROM identities WHERE account_id = :account_id
), address AS (
    DELETE FROM notice_addresses WHERE account_id = :account_id
), webhook AS (
    DELETE FROM webhooks WHERE account_id = :account_id
), connection AS (
    DELETE FROM key_connections WHERE account_id = :account_id
), refund_wallet AS (
    DELETE FROM refund_wallets WHERE account_id = :account_id
), repetition AS (
    DELETE FROM idempotency_keys WHERE account_id = :account_id
)
UPDATE accounts SET closed_at = now(), display_name = '', daily_spend_cap_usd = 0 WHERE id = :account_id;
