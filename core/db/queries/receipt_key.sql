-- name: publish(key_ids, public_keys)!
-- Publish keys before anything is signed with them.
INSERT INTO receipt_keys (key_id, public_key)
SELECT key_id, public_key FROM unnest(:key_ids::text[], :public_keys::bytea[]) AS own (key_id, public_key)
ON CONFLICT DO NOTHING;

-- name: published()
-- All keys that ever signed a receipt here, newest first.
-- types: row=PublishedKey
SELECT key_id, public_key FROM receipt_keys ORDER BY since DESC, key_id;
