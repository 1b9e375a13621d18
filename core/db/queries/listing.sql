-- name: page(absence_tolerated, networks, providers, search, kind, model, creator, tag, slug, most_atomic, sort, after_text, after_number, after_id, most)
-- One page of what is for sale and listed. First everything is put in order by what costs nothing to know; then whether
-- it can be sold now is asked of one after the other, until the page is full. This looks as `readiness` does, but
-- for keys and templates that cannot be opened.
-- The order is a number and the id, and one sort uses a text: a cursor is a position between two prompts.
-- types: row=Listed! parameters=list[dict[str,object]] example=dict[str,object]|None :after_text? :after_number?
-- types: payouts=dict[str,str|None] sort_text! sort_number!
WITH ordered AS (
    SELECT version.id AS version_id, resource.id AS resource_id, resource.recent_calls, model.served_by,
        CASE CAST(:sort AS text) WHEN 'name' THEN left(lower(version.title), 100) ELSE '' END AS sort_text,
        CAST(CASE CAST(:sort AS text)
            WHEN 'price' THEN version.price_atomic
            WHEN 'newest' THEN -extract(epoch FROM resource.created_at)
            WHEN 'popular' THEN -resource.recent_calls
            WHEN 'relevance' THEN -coalesce(found.relevance, 0)
            ELSE 0
        END AS numeric) AS sort_number
    FROM resources AS resource
    JOIN resource_versions AS version ON version.id = resource.version_id
    JOIN accounts AS account ON account.id = resource.account_id
    JOIN models AS model ON model.id = version.model_id
    LEFT JOIN found_offers(CAST(:search AS text)) AS found ON found.resource_id = resource.id
    WHERE resource.archived_at IS NULL AND version.listed
        AND (CAST(:search AS text) = '' OR found.relevance IS NOT NULL)
        AND (CAST(:kind AS text) IS NULL OR version.modality = :kind)
        AND (CAST(:model AS text) IS NULL OR version.model_id = :model)
        AND (CAST(:creator AS text) IS NULL OR account.handle = :creator)
        AND (CAST(:slug AS text) IS NULL OR resource.slug = :slug)
        AND (CAST(:tag AS text) IS NULL OR CAST(:tag AS text) = ANY(version.tags))
        AND (CAST(:most_atomic AS bigint) IS NULL OR version.price_atomic <= :most_atomic)
        AND model.served_by = ANY(CAST(:providers AS text[]))
)
SELECT sale.version_id, ordered.resource_id, sale.handle, sale.slug, sale.number, sale.title, sale.description, sale.modality,
    sale.model_id, sale.parameters, sale.allows_user_message, sale.max_output_tokens, sale.timeout_seconds,
    sale.price_atomic, sale.zdr, sale.answer_schema, sale.tags, sale.icon, sale.example, sale.offered_at,
    ordered.recent_calls, sale.payouts, ordered.sort_text, ordered.sort_number
FROM (SELECT * FROM ordered ORDER BY sort_text, sort_number, resource_id OFFSET 0) AS ordered
CROSS JOIN LATERAL (
    SELECT * FROM sale_state(CAST(:absence_tolerated AS interval)) AS state
    WHERE state.version_id = ordered.version_id AND is_on_offer AND key_obstacle IS NULL AND NOT model_withdrawn
        AND NOT is_certain_loss AND spend_obstacle IS NULL AND has_room
        AND EXISTS (SELECT FROM unnest(CAST(:networks AS text[])) AS network WHERE payouts ->> network IS NOT NULL)
    LIMIT 1
) AS sale
WHERE CAST(:after_id AS uuid) IS NULL
    OR (ordered.sort_text, ordered.sort_number, ordered.resource_id)
        > (CAST(:after_text AS text), CAST(:after_number AS numeric), CAST(:after_id AS uuid))
ORDER BY ordered.sort_text, ordered.sort_number, ordered.resource_id
LIMIT :most;

-- name: creators(after, most)
-- The creators of whom something is, or was, on offer, by handle: whoever lists them wrongly shows there.
-- types: row=Creator
SELECT account.id, account.handle FROM accounts AS account
WHERE account.handle > :after AND EXISTS (
    SELECT FROM resources AS resource WHERE resource.account_id = account.id AND resource.version_id IS NOT NULL
)
ORDER BY account.handle
LIMIT :most;

-- name: known(account_id)
-- Everything of a creator that was ever published, also what is archived or in no list.
SELECT resource.id, resource.slug, version.listed AND resource.archived_at IS NULL AS may_be_listed
FROM resources AS resource
JOIN resource_versions AS version ON version.id = resource.version_id
WHERE resource.account_id = CAST(:account_id AS uuid)
ORDER BY resource.slug;

-- name: note_differences(account_id, found)!
-- Keep what differs at a creator's products, and forget what agrees again. `found` is an object by resource id.
UPDATE resources SET listing_difference = CAST(:found AS jsonb) -> CAST(id AS text)
WHERE account_id = CAST(:account_id AS uuid)
    AND listing_difference IS DISTINCT FROM CAST(:found AS jsonb) -> CAST(id AS text);

-- name: models(most)
-- The models of what is listed, for people to choose from; those with the most prompts first.
SELECT version.model_id, count(*) AS prompts
FROM resources AS resource
JOIN resource_versions AS version ON version.id = resource.version_id
WHERE resource.archived_at IS NULL AND version.listed
GROUP BY version.model_id
ORDER BY prompts DESC, version.model_id
LIMIT :most;
