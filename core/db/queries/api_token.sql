-- name: add(id, account_id, token_sha256, name, scopes, expires_at, most)^
-- No row means that the account has as many tokens as it may, or that the id is taken. Its row is locked, so that they
-- are counted exactly.
-- types: row=TokenRow
WITH owner AS (SELECT id FROM accounts WHERE id = :account_id FOR NO KEY UPDATE)
INSERT INTO api_tokens (id, account_id, token_sha256, name, scopes, expires_at)
SELECT :id, owner.id, :token_sha256, :name, :scopes::text[], :expires_at
FROM owner
WHERE (
    SELECT count(*) FROM api_tokens
    WHERE api_tokens.account_id = :account_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
) < :most
ON CONFLICT (id) DO NOTHING
RETURNING id, name, scopes, created_at, expires_at, used_at;

-- name: was_made(account_id, id)$
-- Also of a token that works no more.
SELECT EXISTS (SELECT FROM api_tokens WHERE account_id = :account_id AND id = :id);

-- name: listing(account_id)
-- The tokens that work, the newest first.
-- types: row=TokenRow
SELECT id, name, scopes, created_at, expires_at, used_at
FROM api_tokens
WHERE account_id = :account_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC, id;

-- name: revoke(account_id, id)!
-- Only a token of this account. One that does not work any more is not revoked again.
UPDATE api_tokens SET revoked_at = now() WHERE account_id = :account_id AND id = :id AND revoked_at IS NULL;

-- name: by_hash(token_sha256, noted_seconds)^
-- The token is found by its hash alone, so a wrong guess reveals nothing about any account.
SELECT api_tokens.id AS token_id, accounts.id, accounts.handle, api_tokens.scopes, api_tokens.expires_at,
    coalesce(api_tokens.used_at < now() - make_interval(secs => :noted_seconds), true) AS is_use_to_note
FROM api_tokens JOIN accounts ON accounts.id = api_tokens.account_id
WHERE api_tokens.token_sha256 = :token_sha256 AND api_tokens.revoked_at IS NULL
    AND (api_tokens.expires_at IS NULL OR api_tokens.expires_at > now());

-- name: note_use(id, noted_seconds)!
-- Concurrent requests note one use.
UPDATE api_tokens SET used_at = now()
WHERE id = :id AND (used_at IS NULL OR used_at < now() - make_interval(secs => :noted_seconds));
