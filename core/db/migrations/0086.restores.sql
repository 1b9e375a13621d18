-- depends: 0085.draining
-- Restores of backups, and what the chain shows of the time that a backup does not know.

CREATE TABLE restores (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backup_at   timestamptz NOT NULL,
    restored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE restores IS 'Every restore of this database from a backup. What was sold between the two moments is unknown here, and is looked up on the chain.';
COMMENT ON COLUMN restores.backup_at IS 'The moment that the backup shows.';

CREATE TABLE restore_readings (
    restore_id bigint NOT NULL REFERENCES restores,
    network    text NOT NULL,
    read_at    timestamptz NOT NULL,
    PRIMARY KEY (restore_id, network)
);
COMMENT ON TABLE restore_readings IS 'When the chain of a network was last read whole from the moment of the backup on. It is read again until no authorization from before the restore can land any more.';

CREATE TABLE found_transfers (
    network       text NOT NULL,
    asset         text NOT NULL,
    payer         text NOT NULL,
    nonce         bytea NOT NULL CHECK (length(nonce) = 32),
    pay_to        text NOT NULL,
    amount_atomic numeric(78) NOT NULL CHECK (amount_atomic >= 0),
    transaction   text NOT NULL,
    restore_id    bigint NOT NULL REFERENCES restores,
    found_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (network, asset, payer, nonce)
);
COMMENT ON TABLE found_transfers IS 'Transfers by a signed authorization to addresses of ours that the chain shows since a backup, and that no payment knew after its restore. Each is owed until a payment of the same authorization is recorded here.';
COMMENT ON COLUMN found_transfers.amount_atomic IS 'In atomic units, as the chain tells it.';
