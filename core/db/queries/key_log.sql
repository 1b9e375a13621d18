-- name: products(account_id, absence_tolerated)
-- What an account has on sale, with the provider whose key it needs, and whether it is sold on that key now. Caps and
-- queues are not looked at: they pass by themselves.
-- types: is_sold!
SELECT resources.slug, models.served_by AS provider,
    sale.key_obstacle IS NULL AND NOT sale.model_withdrawn AND NOT sale.is_certain_loss AS is_sold
FROM resources
JOIN sale_state(CAST(:absence_tolerated AS interval)) AS sale ON sale.version_id = resources.version_id
JOIN models ON models.id = sale.model_id
WHERE resources.account_id = :account_id AND resources.archived_at IS NULL
ORDER BY resources.slug;

-- name: used(account_id)
-- When a call last used the key at each provider.
-- types: last_used_at!
SELECT provider, max(last_used_at) AS last_used_at FROM key_uses WHERE account_id = :account_id GROUP BY provider;

-- name: count_uses(account_ids, providers, calls)!
-- Count the calls that these keys are opened for, in an order that all writers share, so that none waits for another in
-- a circle.
INSERT INTO key_uses (account_id, provider, day, key_id, label, calls, last_used_at)
SELECT keys.account_id, keys.provider, CAST(now() AT TIME ZONE 'UTC' AS date), keys.id, keys.label, opened.calls, now()
FROM unnest(:account_ids::uuid[], :providers::text[], :calls::bigint[]) AS opened (account_id, provider, calls)
JOIN provider_keys AS keys USING (account_id, provider)
ORDER BY keys.account_id, keys.provider
ON CONFLICT (account_id, provider, day, key_id) DO UPDATE
SET calls = key_uses.calls + excluded.calls, last_used_at = excluded.last_used_at;

-- name: events(account_id, provider, most)
-- The newest changes first.
SELECT event, actor, label, at FROM key_events
WHERE account_id = :account_id AND provider = :provider
ORDER BY id DESC
LIMIT :most;

-- name: uses(account_id, provider, days)
-- The uses of the last days (UTC), the newest first.
SELECT day, label, calls, last_used_at FROM key_uses
WHERE account_id = :account_id AND provider = :provider
    AND day > CAST(now() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
ORDER BY day DESC, last_used_at DESC;
