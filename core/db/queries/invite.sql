-- name: add(code_sha256, days)^
-- An invitation ends by itself, because codes get lost in mails.
INSERT INTO invites (code_sha256, expires_at) VALUES (:code_sha256, now() + make_interval(days => :days))
RETURNING expires_at;

-- name: is_open(code_sha256)$
-- Whether a code can still open an account, to say so together with other errors.
SELECT EXISTS (
    SELECT FROM invites WHERE code_sha256 = :code_sha256 AND account_id IS NULL AND expires_at > now()
);

-- name: use(code_sha256, account_id)!
-- Of two who use a code at once, the second changes no row.
UPDATE invites SET account_id = :account_id
WHERE code_sha256 = :code_sha256 AND account_id IS NULL AND expires_at > now();
