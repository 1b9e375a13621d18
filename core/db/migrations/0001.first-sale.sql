-- The first sale: everything between an offer and an answer.
-- Money received is bigint atomic units (1 USDC = 1,000,000); money spent on models is numeric US dollars.
-- Ids are random UUIDs made by us, so that an id never tells how many came before it.

CREATE TABLE installation (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    mode       text        NOT NULL CHECK (mode IN ('sandbox', 'live')),
    stamped_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE installation IS 'One row that says whether this database holds practice money or real money. Set at the first start, compared at every later one.';


CREATE TABLE accounts (
    id                  uuid PRIMARY KEY,
    handle              text NOT NULL UNIQUE CHECK (handle ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(handle) <= 40),
    slots               integer NOT NULL DEFAULT 5 CHECK (slots > 0),
    queue_limit         integer NOT NULL DEFAULT 200 CHECK (queue_limit > 0),
    daily_spend_cap_usd numeric NOT NULL DEFAULT 50 CHECK (daily_spend_cap_usd >= 0),
    created_at          timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE accounts IS 'Creators: those who publish prompts and are paid. Buyers have no account.';
COMMENT ON COLUMN accounts.handle IS 'The name in the public URL /@handle/slug.';
COMMENT ON COLUMN accounts.slots IS 'How many executions of this creator may run at once; more wait, they are not refused.';
COMMENT ON COLUMN accounts.queue_limit IS 'How many executions may be unfinished before the offer is withdrawn (503 before any payment).';
COMMENT ON COLUMN accounts.daily_spend_cap_usd IS 'What this creator allows us to spend on models in one UTC day, counted at worst-case cost until the real cost is known.';

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES accounts,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
COMMENT ON TABLE api_tokens IS 'Bearer tokens of creators. Only the hash is kept: tokens have 256 random bits, so a plain hash is enough.';

CREATE TABLE payout_addresses (
    account_id uuid NOT NULL REFERENCES accounts,
    network    text NOT NULL,
    address    text NOT NULL CHECK (address ~ '^0x[0-9a-fA-F]{40}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, network)
);
COMMENT ON TABLE payout_addresses IS 'Where buyers'' money goes: one address per creator and network (CAIP-2). Money never passes through us.';

CREATE TABLE provider_keys (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts,
    provider    text NOT NULL CHECK (provider IN ('openrouter')),
    sealed_key  bytea NOT NULL,
    key_sha256  bytea NOT NULL CHECK (length(key_sha256) = 32),
    label       text NOT NULL,
    enabled     boolean NOT NULL DEFAULT true,
    rejected_at timestamptz,
    checked_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, provider)
);
COMMENT ON TABLE provider_keys IS 'The creator''s own key at the model provider, sealed; nobody can read it back.';
COMMENT ON COLUMN provider_keys.key_sha256 IS 'Equals the provider''s own key hash: finds duplicates and links to the provider''s pages without the key.';
COMMENT ON COLUMN provider_keys.label IS 'The masked form the provider itself shows (sk-or-v1-0e6...1c96).';
COMMENT ON COLUMN provider_keys.rejected_at IS 'Set when the provider answered 401 to it: its resources are not sellable until a new key is set.';

CREATE TABLE models (
    id                    text PRIMARY KEY,
    name                  text NOT NULL,
    context_length        integer,
    max_completion_tokens integer,
    input_modalities      text[] NOT NULL,
    output_modalities     text[] NOT NULL,
    supported_parameters  text[] NOT NULL,
    prompt_usd            numeric CHECK (prompt_usd >= 0),
    completion_usd        numeric CHECK (completion_usd >= 0),
    request_usd           numeric CHECK (request_usd >= 0),
    image_output_usd      numeric CHECK (image_output_usd >= 0),
    not_sellable          text,
    disabled              boolean NOT NULL DEFAULT false,
    raw                   jsonb NOT NULL,
    first_seen_at         timestamptz NOT NULL DEFAULT now(),
    changed_at            timestamptz NOT NULL DEFAULT now(),
    missing_since         timestamptz,
    CHECK (not_sellable IS NOT NULL OR (prompt_usd IS NOT NULL AND completion_usd IS NOT NULL))
);
COMMENT ON TABLE models IS 'The provider''s catalog as last seen. Rows are never deleted: executions and versions refer to them.';
COMMENT ON COLUMN models.prompt_usd IS 'US dollars per token, the worst over all price overrides. NULL means unknown, which is not sellable and never free.';
COMMENT ON COLUMN models.image_output_usd IS 'US dollars per image output token; NULL where the model bills images as completion tokens.';
COMMENT ON COLUMN models.not_sellable IS 'Why nobody may sell a call to it (unknown_price, batch_only, router ...); NULL when sellable.';
COMMENT ON COLUMN models.disabled IS 'The operator''s own switch; a sync never writes it.';
COMMENT ON COLUMN models.raw IS 'The row exactly as the provider listed it, unknown fields included.';
COMMENT ON COLUMN models.missing_since IS 'First sync that did not list it. One absence is no deletion: real models vanish for hours and return.';


CREATE TABLE resources (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts,
    slug        text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 60),
    version_id  uuid,
    archived_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, slug)
);
COMMENT ON TABLE resources IS 'A prompt for sale at /@handle/slug. A slug is never given to another product, not even after archiving.';
COMMENT ON COLUMN resources.version_id IS 'The version on offer now. NULL only between the two inserts that create a resource.';

CREATE TABLE resource_versions (
    id                  uuid PRIMARY KEY,
    resource_id         uuid NOT NULL REFERENCES resources,
    number              integer NOT NULL CHECK (number > 0),
    title               text NOT NULL,
    description         text NOT NULL,
    modality            text NOT NULL CHECK (modality IN ('text', 'json', 'image')),
    model_id            text NOT NULL REFERENCES models,
    sealed_template     bytea NOT NULL,
    parameters          jsonb NOT NULL,
    allows_user_message boolean NOT NULL,
    max_output_tokens   integer NOT NULL CHECK (max_output_tokens BETWEEN 16 AND 128000),
    temperature         numeric CHECK (temperature BETWEEN 0 AND 2),
    timeout_seconds     integer NOT NULL CHECK (timeout_seconds BETWEEN 5 AND 600),
    price_atomic        bigint NOT NULL CHECK (price_atomic >= 1000),
    worst_cost_usd      numeric NOT NULL CHECK (worst_cost_usd >= 0),
    created_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (resource_id, number)
);
COMMENT ON TABLE resource_versions IS 'What exactly was sold. Immutable: a change is a new version, and a quote keeps the version it was made for.';
COMMENT ON COLUMN resource_versions.sealed_template IS 'The prompt template, sealed: it is the creator''s trade secret.';
COMMENT ON COLUMN resource_versions.price_atomic IS 'Atomic USDC; at least 1000, which is 0.001 USDC.';
COMMENT ON COLUMN resource_versions.worst_cost_usd IS 'What one call can cost at most by the catalog''s prices when the version was made: reserved for each execution.';
ALTER TABLE resources ADD FOREIGN KEY (version_id) REFERENCES resource_versions;


CREATE TABLE workers (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('door', 'executor', 'recovery')),
    host         text NOT NULL,
    pid          integer NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    stopped_at   timestamptz
);
COMMENT ON TABLE workers IS 'Processes that may own work, one row and one heartbeat each. What a silent owner held becomes claimable.';
CREATE INDEX workers_alive ON workers (heartbeat_at) WHERE stopped_at IS NULL;


CREATE TABLE payments (
    id             uuid PRIMARY KEY,
    network        text NOT NULL,
    asset          text NOT NULL CHECK (asset = lower(asset)),
    payer          text NOT NULL CHECK (payer = lower(payer)),
    nonce          bytea NOT NULL CHECK (length(nonce) = 32),
    pay_to         text NOT NULL CHECK (pay_to = lower(pay_to)),
    amount_atomic  bigint NOT NULL CHECK (amount_atomic > 0),
    valid_before   timestamptz NOT NULL,
    version_id     uuid NOT NULL REFERENCES resource_versions,
    state          text NOT NULL CHECK (state IN ('settling', 'paid', 'failed', 'unknown')),
    reason         text,
    transaction    text CHECK (transaction ~ '^0x[0-9a-f]{64}$'),
    owner          uuid REFERENCES workers,
    payload_sha256 bytea NOT NULL CHECK (length(payload_sha256) = 32),
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    quoted         boolean NOT NULL,
    sealed_payload bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    decided_at     timestamptz,
    UNIQUE (network, asset, payer, nonce),
    CHECK (state <> 'paid' OR transaction IS NOT NULL),
    CHECK ((state IN ('paid', 'failed')) = (decided_at IS NOT NULL))
);
COMMENT ON TABLE payments IS 'One row per authorization that was claimed. The unique key names the money itself, normalised, not the header that brought it.';
COMMENT ON COLUMN payments.nonce IS 'The EIP-3009 nonce: the chain spends it once.';
COMMENT ON COLUMN payments.reason IS 'Why the payment is in its state, as a code of ours; copied into the history with every transition.';
COMMENT ON COLUMN payments.owner IS 'The process that settles it now. NULL or a dead owner means recovery may look at it.';
COMMENT ON COLUMN payments.payload_sha256 IS 'Hash of the whole decoded payload, quote included: only its sender can replay it for the answer.';
COMMENT ON COLUMN payments.request_sha256 IS 'Hash of resource and inputs: the same payment cannot ask for something else.';
COMMENT ON COLUMN payments.quoted IS 'Whether the payload echoed our quote, which never reaches the chain. Without it a replay gets the receipt but no answer.';
COMMENT ON COLUMN payments.sealed_payload IS 'The payload, sealed, so that an interrupted settle can be finished with the identical authorization.';
COMMENT ON COLUMN payments.decided_at IS 'When it became paid or failed.';
CREATE INDEX payments_undecided ON payments (created_at) WHERE state IN ('settling', 'unknown');

CREATE TABLE payment_transitions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id  uuid NOT NULL REFERENCES payments,
    from_state  text,
    to_state    text NOT NULL,
    reason      text,
    transaction text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE payment_transitions IS 'The history of every payment, written by a trigger so that no path can forget it.';
CREATE INDEX payment_transitions_payment ON payment_transitions (payment_id, id);

CREATE FUNCTION record_payment_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_transitions (payment_id, to_state, reason) VALUES (NEW.id, NEW.state, NEW.reason);
    ELSIF OLD.state <> NEW.state THEN
        IF NOT (OLD.state, NEW.state) IN (
            ('settling', 'paid'), ('settling', 'failed'), ('settling', 'unknown'),
            ('unknown', 'paid'), ('unknown', 'failed'), ('failed', 'settling')
        ) THEN
            RAISE EXCEPTION 'payment % may not go from % to %', NEW.id, OLD.state, NEW.state;
        END IF;
        INSERT INTO payment_transitions (payment_id, from_state, to_state, reason, transaction)
        VALUES (NEW.id, OLD.state, NEW.state, NEW.reason, NEW.transaction);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_transition AFTER INSERT OR UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_payment_transition();


CREATE TABLE executions (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('paid', 'test')),
    payment_id      uuid UNIQUE REFERENCES payments,
    account_id      uuid NOT NULL REFERENCES accounts,
    version_id      uuid NOT NULL REFERENCES resource_versions,
    state           text NOT NULL CHECK (state IN ('held', 'queued', 'running', 'succeeded', 'failed', 'declined', 'void')),
    code            text,
    fault           text CHECK (fault IN ('buyer', 'creator', 'provider', 'ours')),
    detail          text,
    round           integer NOT NULL DEFAULT 1 CHECK (round > 0),
    sends           integer NOT NULL DEFAULT 0 CHECK (sends >= 0),
    takeovers       integer NOT NULL DEFAULT 0 CHECK (takeovers >= 0),
    claimed_by      uuid REFERENCES workers,
    batch_id        uuid,
    attempt_id      uuid,
    sealed_inputs   bytea NOT NULL,
    sealed_result   bytea,
    logged_round    integer NOT NULL DEFAULT 0,
    rerun_until     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    queued_at       timestamptz,
    call_started_at timestamptz,
    finished_at     timestamptz,
    CHECK ((kind = 'paid') = (payment_id IS NOT NULL)),
    CHECK ((state IN ('failed', 'declined')) = (code IS NOT NULL AND fault IS NOT NULL)),
    CHECK ((state = 'succeeded') = (sealed_result IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'declined', 'void')) = (finished_at IS NOT NULL))
);
COMMENT ON TABLE executions IS 'One per payment (or owner''s test): held until the money is there, then queued, running, and at rest in exactly one terminal state.';
COMMENT ON COLUMN executions.code IS 'What went wrong, as a code of ours; never foreign text.';
COMMENT ON COLUMN executions.detail IS 'The precise cause for the creator, as a code of ours (provider_401, model_gone ...).';
COMMENT ON COLUMN executions.round IS '1 for the first run; each re-run of the same inputs by the buyer is a new round with its own usage row.';
COMMENT ON COLUMN executions.sends IS 'How often this round was sent to the provider; committed before each send, so it never understates.';
COMMENT ON COLUMN executions.takeovers IS 'How often a dead owner''s attempt was taken over in this round. From the second on it runs alone.';
COMMENT ON COLUMN executions.claimed_by IS 'The launcher that claimed it for a batch; set while queued, kept while running.';
COMMENT ON COLUMN executions.batch_id IS 'The batch it was claimed in: one batch is one flow run.';
COMMENT ON COLUMN executions.attempt_id IS 'The attempt whose writes count; any other is a late writer.';
COMMENT ON COLUMN executions.logged_round IS 'The last round that has its usage row: what is terminal but unlogged is found by logged_round < round.';
COMMENT ON COLUMN executions.rerun_until IS 'Until when a failed, paid execution may be re-run for free by its buyer.';
CREATE INDEX executions_queued ON executions (queued_at) WHERE state = 'queued' AND claimed_by IS NULL;
CREATE INDEX executions_owned ON executions (claimed_by) WHERE state IN ('queued', 'running');
CREATE INDEX executions_unfinished ON executions (account_id) WHERE state IN ('held', 'queued', 'running');
CREATE INDEX executions_unlogged ON executions (finished_at)
    WHERE logged_round < round AND state IN ('succeeded', 'failed', 'declined');

CREATE TABLE attempts (
    id              uuid PRIMARY KEY,
    execution_id    uuid NOT NULL REFERENCES executions,
    round           integer NOT NULL,
    reason          text NOT NULL CHECK (reason IN ('first', 'resend', 'rerun', 'takeover')),
    worker_id       uuid NOT NULL REFERENCES workers,
    flow_run_id     uuid,
    sends           integer NOT NULL DEFAULT 0,
    started_at      timestamptz NOT NULL DEFAULT now(),
    call_started_at timestamptz,
    ended_at        timestamptz,
    outcome         text,
    generation_id   text,
    model_served    text,
    input_tokens    integer,
    output_tokens   integer,
    cost_usd        numeric CHECK (cost_usd >= 0)
);
COMMENT ON TABLE attempts IS 'Each taking of an execution by a flow run. Writes say WHERE attempt = mine, so a late writer changes nothing.';
COMMENT ON COLUMN attempts.flow_run_id IS 'The Prefect run that carries it: the link from money to what the operator sees.';
COMMENT ON COLUMN attempts.generation_id IS 'The provider''s id of the generation, to ask for its cost later.';
COMMENT ON COLUMN attempts.cost_usd IS 'What the provider said it charged. NULL means unknown, never free.';
COMMENT ON COLUMN attempts.outcome IS 'NULL while it runs or when its process died.';
CREATE INDEX attempts_execution ON attempts (execution_id);


CREATE TABLE spend_days (
    account_id   uuid NOT NULL REFERENCES accounts,
    day          date NOT NULL,
    reserved_usd numeric NOT NULL DEFAULT 0 CHECK (reserved_usd >= 0),
    spent_usd    numeric NOT NULL DEFAULT 0 CHECK (spent_usd >= 0),
    PRIMARY KEY (account_id, day)
);
COMMENT ON TABLE spend_days IS 'What a creator''s executions have spent and may still spend on models, per UTC day. Updating the row also makes claims of one creator take turns, so a cap cannot be overshot.';

CREATE TABLE reservations (
    execution_id uuid NOT NULL REFERENCES executions,
    round        integer NOT NULL,
    account_id   uuid NOT NULL,
    day          date NOT NULL,
    reserved_usd numeric NOT NULL CHECK (reserved_usd >= 0),
    spent_usd    numeric CHECK (spent_usd >= 0),
    released_at  timestamptz,
    PRIMARY KEY (execution_id, round),
    FOREIGN KEY (account_id, day) REFERENCES spend_days
);
COMMENT ON TABLE reservations IS 'The worst-case cost set aside for one round of an execution; replaced by the real cost when it is known.';


CREATE TABLE usage_log (
    execution_id  uuid NOT NULL REFERENCES executions,
    round         integer NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('paid', 'test')),
    account_id    uuid NOT NULL,
    version_id    uuid NOT NULL,
    model_id      text NOT NULL,
    model_served  text,
    network       text,
    amount_atomic bigint NOT NULL CHECK (amount_atomic >= 0),
    outcome       text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'declined')),
    code          text,
    fault         text,
    sends         integer NOT NULL,
    input_tokens  integer,
    output_tokens integer,
    cost_usd      numeric CHECK (cost_usd >= 0),
    settle_ms     integer,
    queue_ms      integer,
    upstream_ms   integer,
    total_ms      integer NOT NULL,
    generation_id text,
    logged_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (execution_id, round)
);
COMMENT ON TABLE usage_log IS 'One row per round of an execution that came to rest; the source of every number a creator or operator is shown.';
COMMENT ON COLUMN usage_log.amount_atomic IS 'Revenue in atomic USDC; only round 1 carries it, so that it is counted once.';
COMMENT ON COLUMN usage_log.model_served IS 'The model that the provider says answered.';
COMMENT ON COLUMN usage_log.cost_usd IS 'What the provider charged. NULL means unknown, never free.';
CREATE INDEX usage_log_account ON usage_log (account_id, logged_at);
