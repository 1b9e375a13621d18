-- depends: 0045.drafts
-- A creator's request that is repeated with the same Idempotency-Key gets the first answer.

CREATE TABLE idempotency_keys (
    account_id uuid NOT NULL REFERENCES accounts,
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request    text NOT NULL,
    status     integer NOT NULL,
    answer     json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Answers to POST requests of creators, for a day. No answer in it holds a template, an input or a model''s answer.';
COMMENT ON COLUMN idempotency_keys.request IS 'MAC of method, path and body: another request under the same key is refused.';
COMMENT ON COLUMN idempotency_keys.answer IS 'The body that was answered.';

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON idempotency_keys TO instant_app USING (true);
CREATE POLICY creator ON idempotency_keys TO instant_creator USING (account_id = (SELECT acting_account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO instant_app, instant_creator;
