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

-- name: replace_token(id, account_id, token_sha256)!
-- One statement revokes the old token and adds the new one.
WITH ended AS (
    UPDATE api_tokens SET revoked_at = now() WHERE account_id = :account_id AND revoked_at IS NULL
)
INSERT INTO api_tokens (id, account_id, token_sha256) VALUES (:id, :account_id, :token_sha256);

-- name: by_token(token_sha256)^
-- The token is found by its hash alone, so a wrong guess reveals nothing about any account.
SELECT accounts.id, accounts.handle
FROM api_tokens JOIN accounts ON accounts.id = api_tokens.account_id
WHERE api_tokens.token_sha256 = :token_sha256 AND api_tokens.revoked_at IS NULL;

-- name: by_handle(handle)^
-- The operator's command line names accounts by handle, as public URLs do.
SELECT id, handle FROM accounts WHERE handle = :handle;

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
    SELECT jsonb_object_agg(network, address) AS addresses FROM payout_addresses WHERE account_id = accounts.id
) AS payouts ON true
ORDER BY accounts.handle;

-- name: put_key(id, account_id, provider, sealed_key, key_sha256, label, limit_remaining_usd, expires_at)!
-- One key per creator and provider. A new key gets a new row id, because the sealed value is bound to the id.
-- It is not rejected at first, and stays disabled if the creator had disabled the old one.
INSERT INTO provider_keys (id, account_id, provider, sealed_key, key_sha256, label, limit_remaining_usd, expires_at,
    checked_at)
VALUES (:id, :account_id, :provider, :sealed_key, :key_sha256, :label, :limit_remaining_usd, :expires_at, now())
ON CONFLICT (account_id, provider) DO UPDATE
SET id = EXCLUDED.id, sealed_key = EXCLUDED.sealed_key, key_sha256 = EXCLUDED.key_sha256, label = EXCLUDED.label,
    limit_remaining_usd = EXCLUDED.limit_remaining_usd, expires_at = EXCLUDED.expires_at, checked_at = EXCLUDED.checked_at, created_at = EXCLUDED.created_at, rejected_at = NULL;

-- name: key(account_id, provider)^
-- The key with everything known about it, still sealed.
SELECT id, sealed_key, label, enabled, rejected_at, checked_at, limit_remaining_usd, expires_at,
    key_obstacle(provider_keys) AS obstacle
FROM provider_keys WHERE account_id = :account_id AND provider = :provider;

-- name: enable_key(account_id, provider, enabled)!
-- Enable or disable the key; nothing else changes.
UPDATE provider_keys SET enabled = :enabled WHERE account_id = :account_id AND provider = :provider;

-- name: reject_key(account_id, provider, key_sha256)!
-- Matched by hash, so that a late 401 for a replaced key does not reject its successor.
UPDATE provider_keys SET rejected_at = coalesce(rejected_at, now())
WHERE account_id = :account_id AND provider = :provider AND key_sha256 = :key_sha256;

-- name: delete_key(account_id, provider)$
-- Delete the key, and count the resources that were on sale with it. Zero if there was no key.
WITH gone AS (
    DELETE FROM provider_keys WHERE account_id = :account_id AND provider = :provider RETURNING account_id, provider
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

-- name: note_key(id, limit_remaining_usd, expires_at)!
-- Matched by id, so that the check of a replaced key is not recorded for its successor.
UPDATE provider_keys SET checked_at = now(), limit_remaining_usd = :limit_remaining_usd, expires_at = :expires_at
WHERE id = :id;
