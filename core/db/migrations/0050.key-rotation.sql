-- depends: 0046.idempotency-keys
-- Master keys rotate while the system serves: where everything sealed is, and which processes seal under which key.

CREATE FUNCTION sealed_values() RETURNS TABLE (
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
$$;
COMMENT ON FUNCTION sealed_values IS 'Every value that a master key sealed, with the account, the table.column and the row that it is bound to. The operator''s own are sealed for the account of zeros. A rotation seals anew what is here, and nothing else: a new sealed column is added here. Postgres inlines it.';

CREATE FUNCTION replace_sealed(place text, row_ids uuid[], stale bytea[], fresh bytea[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    of_table text := split_part(place, '.', 1);
    of_column text := split_part(place, '.', 2);
    replaced bigint;
BEGIN
    EXECUTE format(
        'WITH locked AS (
            SELECT held.ctid AS at, given.fresh
            FROM unnest($1, $2, $3) AS given (row_id, stale, fresh)
            JOIN %1$I AS held ON held.%3$I = given.row_id AND held.%2$I = given.stale
            FOR NO KEY UPDATE OF held SKIP LOCKED
        )
        UPDATE %1$I SET %2$I = locked.fresh FROM locked WHERE %1$I.ctid = locked.at',
        of_table, of_column, CASE of_table WHEN 'sends' THEN 'execution_id' ELSE 'id' END
    ) USING row_ids, stale, fresh;
    GET DIAGNOSTICS replaced = ROW_COUNT;
    RETURN replaced;
END $$;
COMMENT ON FUNCTION replace_sealed IS 'Replace sealed values that are still the same (compare and swap); returns how many. A row that somebody else is changing is left for the next pass, so this waits for nobody.';

ALTER TABLE workers ADD COLUMN master_key_ids text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN workers.master_key_ids IS 'The ids of the master keys that the process knows, newest first: it seals under the first. None before this version.';

CREATE TABLE unused_master_keys (
    key_id       text PRIMARY KEY,
    unused_since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE unused_master_keys IS 'Older master keys that open nothing here any more, and since when a rotation knows it. Backups from before need them.';
