-- depends: 0075.spending-notices
-- Creators sign in with tokens of an outside identity provider.

CREATE TABLE identities (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    issuer     text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 1000),
    subject    text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer, subject)
);
COMMENT ON TABLE identities IS 'Who of an identity provider may act for an account, by its tokens (JWT). A subject is unique only within its issuer.';
CREATE INDEX identities_account ON identities (account_id);

ALTER TABLE identities ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON identities TO instant_app USING (true);
CREATE POLICY creator ON identities TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, DELETE ON identities TO instant_creator;
