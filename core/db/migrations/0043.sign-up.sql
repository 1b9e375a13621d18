-- depends: 0042.sessions
-- A wallet that is new may open an account, with an invitation or without.

ALTER TABLE accounts ADD display_name text NOT NULL DEFAULT '' CHECK (length(display_name) <= 60);
COMMENT ON COLUMN accounts.display_name IS 'What people read instead of the handle; empty if nothing.';

ALTER TABLE accounts ADD closed_at timestamptz;
COMMENT ON COLUMN accounts.closed_at IS 'When its creator closed it. Its handle and what was sold stay for the books; its secrets are gone.';
GRANT DELETE ON wallets TO instant_creator;

CREATE TABLE invites (
    code_sha256 bytea PRIMARY KEY CHECK (length(code_sha256) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    account_id  uuid REFERENCES accounts
);
COMMENT ON TABLE invites IS 'Invitations to open an account, each for one. Only hashes are kept: a code has 128 random bits.';
COMMENT ON COLUMN invites.account_id IS 'The account that it opened; NULL until then.';
