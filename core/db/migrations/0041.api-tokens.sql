-- depends: 0040.row-level-security
-- A creator has several tokens, each with a name, scopes, an end and a last use. Those from before have every scope.

ALTER TABLE api_tokens
    ADD name text NOT NULL DEFAULT '' CHECK (length(name) <= 60),
    ADD scopes text[] NOT NULL DEFAULT '{read,publish,keys,money}'
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{read,publish,keys,money}'),
    ADD expires_at timestamptz,
    ADD used_at timestamptz;
ALTER TABLE api_tokens ALTER scopes DROP DEFAULT;
COMMENT ON COLUMN api_tokens.name IS 'What its creator calls it.';
COMMENT ON COLUMN api_tokens.scopes IS 'What it may do. Agrees with core.accounts.tokens.SCOPES.';
COMMENT ON COLUMN api_tokens.expires_at IS 'When it stops working; NULL if never.';
COMMENT ON COLUMN api_tokens.used_at IS 'A use of it, at most a minute before the last; NULL if it was never used.';
CREATE INDEX api_tokens_account ON api_tokens (account_id) WHERE revoked_at IS NULL;
