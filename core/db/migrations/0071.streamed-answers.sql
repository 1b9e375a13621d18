-- depends: 0070.leaner-shelf
-- A buyer may read an answer while it is made: its text is kept in pieces until the execution is over, sealed like answers.

ALTER TABLE executions ADD COLUMN streamed text CHECK (streamed IN ('progress', 'text'));
COMMENT ON COLUMN executions.streamed IS 'What somebody asked for before it began: to hear of its progress, or also its text while it is made, where the version allows that. Only for text are there pieces. NULL: nobody asked.';

CREATE TABLE answer_pieces (
    id           uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES executions,
    round        integer NOT NULL,
    starts_at    integer NOT NULL CHECK (starts_at >= 0),
    sealed_text  bytea NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (execution_id, round, starts_at)
);
COMMENT ON TABLE answer_pieces IS 'The text of answers that are being made, as far as readers may see it. That there is one also says that nothing may be sent again.';
COMMENT ON COLUMN answer_pieces.starts_at IS 'How many characters of the answer come before it.';

ALTER TABLE answer_pieces ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON answer_pieces TO instant_app USING (true);
-- A creator has no right to the table, so this lets through nothing; it says whose the rows would be.
CREATE POLICY creator ON answer_pieces TO instant_creator
    USING (EXISTS (SELECT FROM executions WHERE executions.id = execution_id));

CREATE FUNCTION forget_answer_pieces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM answer_pieces WHERE execution_id = NEW.id;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION forget_answer_pieces IS 'When an execution is over, its answer holds the text, and a failure has none. A writer locks the execution, so no piece comes after this.';

CREATE TRIGGER forget_answer_pieces AFTER UPDATE OF state ON executions
    FOR EACH ROW WHEN (NEW.streamed = 'text' AND NEW.state IN ('succeeded', 'failed', 'declined'))
    EXECUTE FUNCTION forget_answer_pieces();

CREATE OR REPLACE FUNCTION sealed_values() RETURNS TABLE (
    place text, account_id uuid, row_id uuid, sealed bytea, stored_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT 'provider_keys.sealed_key', account_id, id, sealed_key, created_at FROM provider_keys
    UNION ALL
    SELECT 'resource_versions.sealed_template', resource.account_id, version.id, version.sealed_template,
        version.created_at
    FROM resource_versions AS version JOIN resources AS resource ON resource.id = version.resource_id
    UNION ALL
    SELECT 'notice_addresses.sealed_url', coalesce(account_id, '00000000-0000-0000-0000-000000000000'), id, sealed_url,
        created_at
    FROM notice_addresses
    UNION ALL
    SELECT 'payments.sealed_payload', resource.account_id, payment.id, payment.sealed_payload, payment.created_at
    FROM payments AS payment
    JOIN resource_versions AS version ON version.id = payment.version_id
    JOIN resources AS resource ON resource.id = version.resource_id
    WHERE payment.sealed_payload IS NOT NULL
    UNION ALL
    SELECT 'executions.sealed_inputs', account_id, id, sealed_inputs, created_at FROM executions
    WHERE sealed_inputs IS NOT NULL
    UNION ALL
    SELECT 'executions.sealed_result', account_id, id, sealed_result, created_at FROM executions
    WHERE sealed_result IS NOT NULL
    UNION ALL
    SELECT 'sends.sealed_request', execution.account_id, execution.id, sent.sealed_request, sent.sent_at
    FROM sends AS sent JOIN executions AS execution ON execution.id = sent.execution_id
    WHERE sent.sealed_request IS NOT NULL
    UNION ALL
    SELECT 'key_connections.sealed_verifier', account_id, id, sealed_verifier, created_at FROM key_connections
    UNION ALL
    SELECT 'answer_pieces.sealed_text', execution.account_id, piece.id, piece.sealed_text, piece.written_at
    FROM answer_pieces AS piece JOIN executions AS execution ON execution.id = piece.execution_id
$$;
