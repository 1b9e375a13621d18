-- name: account_of(issuer, subject)^
-- Whose identity this is. It is found before anybody is known.
SELECT accounts.id, accounts.handle
FROM identities JOIN accounts ON accounts.id = identities.account_id
WHERE identities.issuer = :issuer AND identities.subject = :subject;

-- name: add(id, account_id, issuer, subject, most)^
-- No row means that the identity belongs to an account already, which may be this one, or that there are enough.
INSERT INTO identities (id, account_id, issuer, subject)
SELECT :id, :account_id, :issuer, :subject
WHERE (SELECT count(*) FROM identities WHERE account_id = :account_id) < :most
ON CONFLICT DO NOTHING
RETURNING id, issuer, subject, created_at;

-- name: listing(account_id)
-- The identities of an account, the oldest first.
-- types: row=IdentityRow
SELECT id, issuer, subject, created_at FROM identities WHERE account_id = :account_id ORDER BY created_at, id;

-- name: remove(account_id, id)!
-- Its tokens open nothing from now on.
DELETE FROM identities WHERE account_id = :account_id AND id = :id;
