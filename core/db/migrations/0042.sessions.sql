-- depends: 0041.api-tokens
-- Creators sign in with a wallet (EIP-4361) and get a session.

CREATE TABLE wallets (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    address    text NOT NULL CHECK (address ~ '^0x[0-9a-f]{40}$'),
    network    text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE wallets IS 'Wallets that a creator may sign in with. A payout address is none by itself: an exchange may hold its key.';
COMMENT ON COLUMN wallets.network IS 'NULL: whoever has the key of the address. Else a contract on this network (CAIP-2): on another one its address may be somebody else''s.';
CREATE UNIQUE INDEX wallets_by_key ON wallets (address) WHERE network IS NULL;
CREATE UNIQUE INDEX wallets_by_contract ON wallets (network, address) WHERE network IS NOT NULL;
CREATE INDEX wallets_account ON wallets (account_id);

CREATE TABLE sessions (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES accounts,
    session_sha256 bytea NOT NULL UNIQUE CHECK (length(session_sha256) = 32),
    nonce_sha256   bytea NOT NULL UNIQUE CHECK (length(nonce_sha256) = 32),
    created_at     timestamptz NOT NULL DEFAULT now(),
    used_at        timestamptz NOT NULL DEFAULT now(),
    ends_at        timestamptz NOT NULL,
    ended_at       timestamptz
);
COMMENT ON TABLE sessions IS 'Sign-ins. Only hashes are kept: a session has 256 random bits, so a plain hash is enough.';
COMMENT ON COLUMN sessions.nonce_sha256 IS 'The nonce that the wallet signed: a message signs in once. Rows are kept for longer than a nonce lives.';
COMMENT ON COLUMN sessions.created_at IS 'When the wallet signed in.';
COMMENT ON COLUMN sessions.used_at IS 'A use of it, at most a minute before the last. It ends a week later, or at ends_at.';
COMMENT ON COLUMN sessions.ends_at IS 'When it ends, however much it is used.';
COMMENT ON COLUMN sessions.ended_at IS 'When its creator signed out; NULL until then.';
CREATE INDEX sessions_account ON sessions (account_id);

DO $$
DECLARE
    of_table text;
BEGIN
    FOREACH of_table IN ARRAY '{wallets,sessions}'::text[] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_table);
        EXECUTE format('CREATE POLICY everybody ON %I TO instant_app USING (true)', of_table);
        EXECUTE format('CREATE POLICY creator ON %I TO instant_creator USING (account_id = (SELECT acting_account()))', of_table);
    END LOOP;
END $$;
GRANT SELECT ON wallets TO instant_creator;
GRANT SELECT, UPDATE ON sessions TO instant_creator;
