-- name: create(id, handle, slots, queue_limit, daily_spend_cap_usd)^
-- No row means that the handle is taken. The unique index decides, so concurrent creations need no look-up first.
INSERT INTO accounts (id, handle, slots, queue_limit, daily_spend_cap_usd)
VALUES (:id, :handle, :slots, :queue_limit, :daily_spend_cap_usd)
ON CONFLICT (handle) DO NOTHING
RETURNING id;

-- name: set_limits(id, slots, queue_limit, daily_spend_cap_usd)^
-- A NULL parameter leaves its limit unchanged.
UPDATE accounts SET slots = coalesce(:slots, slots), queue_limit = coalesce(:queue_limit, queue_limit),
    daily_spend_cap_usd = coalesce(:daily_spend_cap_usd, daily_spend_cap_usd)
WHERE id = :id
RETURNING slots, queue_limit, daily_spend_cap_usd;

-- name: add_payout(account_id, network, address)!
-- Add the address that a creator is paid at on one network.
INSERT INTO payout_addresses (account_id, network, address) VALUES (:account_id, :network, :address);

-- name: by_handle(handle)^
-- The operator's command line names accounts by handle, as public URLs do.
SELECT id, handle FROM accounts WHERE handle = :handle AND closed_at IS NULL;

-- name: profile(id)^
-- An account as its owner sees it.
-- types: spent_today_usd! spent_this_month_usd!
SELECT handle, display_name, created_at, slots, queue_limit, daily_spend_cap_usd, own_daily_spend_cap_usd,
    monthly_spend_cap_usd, most_per_call_usd, weekly_digest,
    spent_in(accounts, (now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + 1) AS spent_today_usd,
    spent_in(
        accounts, date_trunc('month', now() AT TIME ZONE 'UTC')::date,
        (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')::date
    ) AS spent_this_month_usd
FROM accounts WHERE id = :id;

-- name: set_caps(id, changed, own_daily_spend_cap_usd, monthly_spend_cap_usd, most_per_call_usd)!
-- A creator's own caps; those that `changed` does not name stay, and NULL removes one.
-- types: :own_daily_spend_cap_usd? :monthly_spend_cap_usd? :most_per_call_usd?
UPDATE accounts SET
    own_daily_spend_cap_usd = CASE WHEN 'own_daily_spend_cap_usd' = ANY(CAST(:changed AS text[]))
        THEN CAST(:own_daily_spend_cap_usd AS numeric) ELSE own_daily_spend_cap_usd END,
    monthly_spend_cap_usd = CASE WHEN 'monthly_spend_cap_usd' = ANY(CAST(:changed AS text[]))
        THEN CAST(:monthly_spend_cap_usd AS numeric) ELSE monthly_spend_cap_usd END,
    most_per_call_usd = CASE WHEN 'most_per_call_usd' = ANY(CAST(:changed AS text[]))
        THEN CAST(:most_per_call_usd AS numeric) ELSE most_per_call_usd END
WHERE id = :id;

-- name: set_weekly_digest(id, wanted)!
-- Whether a creator gets a digest of each week.
UPDATE accounts SET weekly_digest = :wanted WHERE id = :id;

-- name: set_display_name(id, display_name)!
-- A handle is in URLs, so it never changes; this may.
UPDATE accounts SET display_name = :display_name WHERE id = :id;

-- name: listing()
-- All accounts, with payout addresses and the state of their keys.
-- types: row=AccountRow payouts=dict[str,str] keys=list[dict[str,object]]
SELECT accounts.handle, accounts.slots, accounts.queue_limit, accounts.daily_spend_cap_usd, accounts.created_at,
       coalesce(payouts.addresses, '{}') AS payouts, coalesce(known.keys, '[]') AS keys,
       (
           SELECT count(*) FROM resources
           WHERE account_id = accounts.id AND archived_at IS NULL AND version_id IS NOT NULL
       ) AS resources
FROM accounts
LEFT JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object('provider', provider, 'label', label, 'enabled', enabled, 'rejected_at', rejected_at,
            'obstacle', key_obstacle(provider_keys))
        ORDER BY provider DESC
    ) AS keys
    FROM provider_keys WHERE account_id = accounts.id
) AS known ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(network, payout_in_force(payout_addresses)) AS addresses FROM payout_addresses WHERE account_id = accounts.id
) AS payouts ON true
ORDER BY accounts.handle;

-- name: put_key(id, account_id, provider, sealed_key, key_sha256, label, limit_remaining_usd, limit_usd, limit_reset, expires_at, event, actor)!
-- One key per creator and provider. A new key gets a new row id, because the sealed value is bound to the id.
-- It is not rejected at first, and stays disabled if the creator had disabled the old one.
WITH stored AS (
    INSERT INTO provider_keys (id, account_id, provider, sealed_key, key_sha256, label, limit_remaining_usd, limit_usd,
        limit_reset, expires_at, checked_at)
    VALUES (:id, :account_id, :provider, :sealed_key, :key_sha256, :label, :limit_remaining_usd, :limit_usd, :limit_reset,
        :expires_at, now())
    ON CONFLICT (account_id, provider) DO UPDATE
    SET id = EXCLUDED.id, sealed_key = EXCLUDED.sealed_key, key_sha256 = EXCLUDED.key_sha256, label = EXCLUDED.label,
        limit_remaining_usd = EXCLUDED.limit_remaining_usd, limit_usd = EXCLUDED.limit_usd,
        limit_reset = EXCLUDED.limit_reset, expires_at = EXCLUDED.expires_at, checked_at = EXCLUDED.checked_at,
        created_at = EXCLUDED.created_at, rejected_at = NULL
    RETURNING account_id, provider, label
)
INSERT INTO key_events (account_id, provider, label, event, actor)
SELECT account_id, provider, label, :event, :actor FROM stored;

-- name: keys(account_id)
-- An account's keys, one for each provider, with everything known about them.
SELECT provider, label, enabled, rejected_at, checked_at, created_at, limit_remaining_usd, limit_usd, limit_reset,
    expires_at,
    key_obstacle(provider_keys) AS obstacle
FROM provider_keys WHERE account_id = :account_id;

-- name: sealed_key(account_id, provider)^
-- To use a creator's key for something other than a call.
SELECT id, sealed_key FROM provider_keys
WHERE account_id = :account_id AND provider = :provider AND key_obstacle(provider_keys) IS NULL;

-- name: enable_key(account_id, provider, enabled, actor)!
-- Enable or disable the key; nothing else changes.
WITH changed AS (
    UPDATE provider_keys SET enabled = :enabled WHERE account_id = :account_id AND provider = :provider
    RETURNING account_id, provider, label, enabled
)
INSERT INTO key_events (account_id, provider, label, event, actor)
SELECT account_id, provider, label, CASE WHEN enabled THEN 'enabled' ELSE 'disabled' END, :actor FROM changed;

-- name: reject_key(account_id, provider, key_sha256)!
-- Matched by hash, so that a late 401 for a replaced key does not reject its successor.
WITH rejected AS (
    UPDATE provider_keys SET rejected_at = now()
    WHERE account_id = :account_id AND provider = :provider AND key_sha256 = :key_sha256 AND rejected_at IS NULL
    RETURNING account_id, provider, label
)
INSERT INTO key_events (account_id, provider, label, event, actor)
SELECT account_id, provider, label, 'rejected', 'provider' FROM rejected;

-- name: delete_key(account_id, provider, actor)$
-- Delete the key, and count the resources that were on sale with it. Zero if there was no key.
WITH gone AS (
    DELETE FROM provider_keys WHERE account_id = :account_id AND provider = :provider
    RETURNING account_id, provider, label
), noted AS (
    INSERT INTO key_events (account_id, provider, label, event, actor)
    SELECT account_id, provider, label, 'deleted', :actor FROM gone
)
SELECT count(*)
FROM resources
JOIN gone USING (account_id)
JOIN resource_versions ON resource_versions.id = resources.version_id
JOIN models ON models.id = resource_versions.model_id AND models.served_by = gone.provider
WHERE resources.archived_at IS NULL;

-- name: keys_in_use()
-- Keys that resources are sold on. A rejected key is not checked again: only a new key helps.
SELECT id, account_id, provider, sealed_key FROM provider_keys AS keys
WHERE enabled AND rejected_at IS NULL AND is_sold_on(keys)
ORDER BY checked_at;

-- name: note_key(id, limit_remaining_usd, limit_usd, limit_reset, expires_at)!
-- Matched by id, so that the check of a replaced key is not recorded for its successor.
UPDATE provider_keys SET checked_at = now(), limit_remaining_usd = :limit_remaining_usd, limit_usd = :limit_usd,
    limit_reset = :limit_reset, expires_at = :expires_at
WHERE id = :id;
