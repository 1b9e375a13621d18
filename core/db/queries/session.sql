-- name: account_of_wallet(address, network)^
-- Whose wallet this is. NULL as the network means that the key of the address signed, on whatever chain.
SELECT accounts.id, accounts.handle
FROM wallets JOIN accounts ON accounts.id = wallets.account_id
WHERE wallets.address = :address AND wallets.network IS NOT DISTINCT FROM :network;

-- name: add_wallet(id, account_id, address, network)!
-- No row means that the wallet belongs to an account already, which may be this one.
INSERT INTO wallets (id, account_id, address, network) VALUES (:id, :account_id, :address, :network)
ON CONFLICT DO NOTHING;

-- name: wallets(account_id)
-- The wallets of an account, the oldest first.
-- types: row=WalletRow
SELECT address, network, created_at FROM wallets WHERE account_id = :account_id ORDER BY created_at, address;

-- name: forget_ended(account_id)!
-- What has ended for good. Its nonce is too old to be used again.
DELETE FROM sessions WHERE account_id = :account_id AND ends_at < now();

-- name: begin(id, account_id, session_sha256, nonce_sha256, seconds)^
-- No row means that the nonce was used before. The unique index decides.
INSERT INTO sessions (id, account_id, session_sha256, nonce_sha256, ends_at)
VALUES (:id, :account_id, :session_sha256, :nonce_sha256, now() + make_interval(secs => :seconds))
ON CONFLICT (nonce_sha256) DO NOTHING
RETURNING created_at, ends_at;

-- name: end_oldest(account_id, most)!
-- More than so many sessions at a time are not kept.
UPDATE sessions SET ended_at = now()
WHERE ended_at IS NULL AND id IN (
    SELECT id FROM sessions WHERE account_id = :account_id AND ended_at IS NULL
    ORDER BY created_at DESC, id OFFSET :most
);

-- name: by_hash(session_sha256, idle_seconds, noted_seconds)^
-- The session is found by its hash alone, so a wrong guess reveals nothing about any account.
SELECT sessions.id AS session_id, accounts.id, accounts.handle, sessions.created_at, sessions.ends_at,
    sessions.used_at < now() - make_interval(secs => :noted_seconds) AS is_use_to_note
FROM sessions JOIN accounts ON accounts.id = sessions.account_id
WHERE sessions.session_sha256 = :session_sha256 AND sessions.ended_at IS NULL AND sessions.ends_at > now()
    AND sessions.used_at > now() - make_interval(secs => :idle_seconds);

-- name: note_use(id, noted_seconds)!
-- Concurrent requests note one use.
UPDATE sessions SET used_at = now() WHERE id = :id AND used_at < now() - make_interval(secs => :noted_seconds);

-- name: end_session(account_id, id)!
-- It ends at once.
UPDATE sessions SET ended_at = now() WHERE account_id = :account_id AND id = :id AND ended_at IS NULL;
