-- depends: 0002.money
-- The catalog as people read it: what a model can do, how it changed, what was put aside, and what that does to sales.

ALTER TABLE models
    ADD COLUMN description text GENERATED ALWAYS AS (
        CASE jsonb_typeof(raw -> 'description') WHEN 'string' THEN raw ->> 'description' ELSE '' END
    ) STORED,
    ADD COLUMN modality text NOT NULL DEFAULT 'text'
        CHECK (modality IN ('text', 'image', 'video', 'audio', 'embedding', 'multimodal')),
    ADD COLUMN capabilities text[] NOT NULL DEFAULT '{}',
    ADD COLUMN alias_target text,
    ADD COLUMN expires_on date,
    ADD COLUMN released_at timestamptz,
    ADD COLUMN curated boolean NOT NULL DEFAULT false,
    ADD COLUMN modality_override text
        CHECK (modality_override IN ('text', 'image', 'video', 'audio', 'embedding', 'multimodal')),
    ADD COLUMN provider text GENERATED ALWAYS AS (split_part(ltrim(id, '~'), '/', 1)) STORED,
    ADD COLUMN output_usd numeric GENERATED ALWAYS AS (greatest(completion_usd, image_output_usd)) STORED,
    ADD COLUMN tier text GENERATED ALWAYS AS (
        CASE
            WHEN completion_usd IS NULL THEN 'unknown'
            WHEN greatest(prompt_usd, completion_usd, image_output_usd, request_usd) = 0 THEN 'free'
            WHEN greatest(completion_usd, image_output_usd) <= 0.000001 THEN 'budget'
            WHEN greatest(completion_usd, image_output_usd) <= 0.000005 THEN 'standard'
            ELSE 'premium'
        END
    ) STORED;
COMMENT ON COLUMN models.capabilities IS 'Badges, read from what the provider lists about the model, never from its name.';
COMMENT ON COLUMN models.alias_target IS 'The model that this id stands for today; only on ids that begin with ~.';
COMMENT ON COLUMN models.expires_on IS 'The last day on which the provider promises to serve it (UTC); NULL when it names none.';
COMMENT ON COLUMN models.curated IS 'The operator recommends it; a sync never writes it.';
COMMENT ON COLUMN models.modality_override IS 'The operator knows its kind better; a sync never writes it. It sorts the shelf and sells nothing.';
COMMENT ON COLUMN models.output_usd IS 'US dollars per token of the dearest output: what the order by price goes by.';
COMMENT ON COLUMN models.tier IS 'By the dearest output: up to 1 US dollar per million tokens, up to 5, more; free only if nothing costs anything.';

CREATE FUNCTION model_obstacle(model models, absence_tolerated interval) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN model.disabled THEN 'disabled'
        WHEN model.missing_since < now() - absence_tolerated THEN 'gone'
        WHEN model.expires_on < CAST(now() AT TIME ZONE 'UTC' AS date) THEN 'expired'
        ELSE model.not_sellable
    END
$$;
COMMENT ON FUNCTION model_obstacle IS 'Why no call to a model may be sold now; NULL when one may.';

CREATE TABLE model_history (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id              text NOT NULL REFERENCES models,
    at                    timestamptz NOT NULL DEFAULT now(),
    listed                boolean NOT NULL,
    prompt_usd            numeric,
    completion_usd        numeric,
    request_usd           numeric,
    image_output_usd      numeric,
    context_length        integer,
    max_completion_tokens integer,
    input_modalities      text[] NOT NULL,
    output_modalities     text[] NOT NULL,
    supported_parameters  text[] NOT NULL,
    capabilities          text[] NOT NULL,
    not_sellable          text,
    expires_on            date,
    alias_target          text
);
COMMENT ON TABLE model_history IS 'Prices and capabilities of every model since when: the newest row equals the model. Written by triggers so that no path can forget it.';
COMMENT ON COLUMN model_history.at IS 'The time of the sync that brought it, which is that of its row in catalog_syncs.';
COMMENT ON COLUMN model_history.listed IS 'Whether the provider listed it.';
CREATE INDEX model_history_model ON model_history (model_id, id);
CREATE INDEX model_history_at ON model_history (at);

CREATE FUNCTION record_model_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO model_history (
        model_id, listed, prompt_usd, completion_usd, request_usd, image_output_usd, context_length,
        max_completion_tokens, input_modalities, output_modalities, supported_parameters, capabilities, not_sellable,
        expires_on, alias_target
    )
    VALUES (
        NEW.id, NEW.missing_since IS NULL, NEW.prompt_usd, NEW.completion_usd, NEW.request_usd, NEW.image_output_usd,
        NEW.context_length, NEW.max_completion_tokens, NEW.input_modalities, NEW.output_modalities,
        NEW.supported_parameters, NEW.capabilities, NEW.not_sellable, NEW.expires_on, NEW.alias_target
    );
    RETURN NULL;
END $$;
CREATE TRIGGER model_listed AFTER INSERT ON models FOR EACH ROW EXECUTE FUNCTION record_model_history();
CREATE TRIGGER model_changed AFTER UPDATE ON models FOR EACH ROW
    WHEN (
        (OLD.missing_since IS NULL, OLD.prompt_usd, OLD.completion_usd, OLD.request_usd, OLD.image_output_usd,
         OLD.context_length, OLD.max_completion_tokens, OLD.input_modalities, OLD.output_modalities,
         OLD.supported_parameters, OLD.capabilities, OLD.not_sellable, OLD.expires_on, OLD.alias_target)
        IS DISTINCT FROM
        (NEW.missing_since IS NULL, NEW.prompt_usd, NEW.completion_usd, NEW.request_usd, NEW.image_output_usd,
         NEW.context_length, NEW.max_completion_tokens, NEW.input_modalities, NEW.output_modalities,
         NEW.supported_parameters, NEW.capabilities, NEW.not_sellable, NEW.expires_on, NEW.alias_target)
    )
    EXECUTE FUNCTION record_model_history();

-- What is known of before: each model begins with what it is.
INSERT INTO model_history (
    model_id, at, listed, prompt_usd, completion_usd, request_usd, image_output_usd, context_length,
    max_completion_tokens, input_modalities, output_modalities, supported_parameters, capabilities, not_sellable
)
SELECT id, changed_at, missing_since IS NULL, prompt_usd, completion_usd, request_usd, image_output_usd, context_length,
       max_completion_tokens, input_modalities, output_modalities, supported_parameters, capabilities, not_sellable
FROM models ORDER BY changed_at;

CREATE TABLE catalog_syncs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT now(),
    outcome       text NOT NULL CHECK (outcome IN ('applied', 'not_modified', 'refused')),
    why           text,
    added         integer NOT NULL DEFAULT 0,
    changed       integer NOT NULL DEFAULT 0,
    unchanged     integer NOT NULL DEFAULT 0,
    returned      integer NOT NULL DEFAULT 0,
    missing       integer NOT NULL DEFAULT 0,
    quarantined   integer NOT NULL DEFAULT 0,
    etag          text,
    last_modified text,
    source        text,
    CHECK ((outcome = 'refused') = (why IS NOT NULL))
);
COMMENT ON TABLE catalog_syncs IS 'Every attempt to bring the catalog up to date, in numbers of models.';
COMMENT ON COLUMN catalog_syncs.etag IS 'With last_modified: what the provider said of the list that was applied, to be asked for news only.';
COMMENT ON COLUMN catalog_syncs.source IS 'Fingerprint of who was asked and of the code that read the answer: the validators are good for these only.';
CREATE INDEX catalog_syncs_applied ON catalog_syncs (id) WHERE outcome = 'applied';

CREATE TABLE quarantined_models (
    id            text PRIMARY KEY,
    reason        text NOT NULL,
    listed        text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE quarantined_models IS 'Rows of the last list that was applied which could not be read; the others were.';
COMMENT ON COLUMN quarantined_models.id IS 'The id that the row claims, or its place in the list.';
COMMENT ON COLUMN quarantined_models.listed IS 'The beginning of the row as JSON in ASCII, escapes and all.';

ALTER TABLE resource_versions ADD COLUMN allows_loss boolean;
COMMENT ON COLUMN resource_versions.allows_loss IS 'Whether its creator agreed to sell below what hardly any call can cost less than; NULL was not recorded.';

CREATE TABLE repriced_versions (
    version_id      uuid PRIMARY KEY REFERENCES resource_versions,
    worst_cost_usd  numeric NOT NULL CHECK (worst_cost_usd >= 0),
    is_certain_loss boolean NOT NULL,
    repriced_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE repriced_versions IS 'Versions whose model has changed its price since they were published, with today''s worst case: it is what is reserved from then on.';
COMMENT ON COLUMN repriced_versions.is_certain_loss IS 'Hardly any call earns its cost. Not sold unless its creator agreed to that.';
