-- SPDX-License-Identifier: Apache-2.0
--
-- Version 8: a copy of the audit trail (docs/AUDIT.md). It is added to, and never changed: what was seen once stays,
-- whatever becomes of the store.

CREATE TABLE audit_batches (
	writer           TEXT NOT NULL CHECK (length(writer) = 43),
	number           INTEGER NOT NULL CHECK (number > 0),
	first            INTEGER NOT NULL CHECK (first > 0), -- place of its first record in the chain
	records          INTEGER NOT NULL CHECK (records > 0),
	before           TEXT NOT NULL CHECK (length(before) = 64),
	after            TEXT NOT NULL CHECK (length(after) = 64),
	continues_writer TEXT,                               -- of a first batch; NULL: none
	continues_number INTEGER,
	continues_hash   TEXT,
	signer           TEXT NOT NULL,
	object_hash      TEXT NOT NULL CHECK (length(object_hash) = 64), -- SHA-256 of the object
	received_ns      INTEGER NOT NULL,                   -- by the store
	PRIMARY KEY (writer, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
	writer       TEXT NOT NULL,
	place        INTEGER NOT NULL CHECK (place > 0), -- in the chain
	number       INTEGER NOT NULL,                   -- of the batch
	id           TEXT NOT NULL CHECK (length(id) = 32),
	at_ns        INTEGER NOT NULL,
	took_ms      INTEGER NOT NULL,
	act          TEXT NOT NULL,
	object       TEXT NOT NULL, -- the first one, or ''
	objects      TEXT NOT NULL, -- a JSON list
	object_count INTEGER NOT NULL,
	why          TEXT NOT NULL,
	result       TEXT NOT NULL CHECK (result IN ('begun', 'done', 'partly', 'failed', 'cancelled')),
	status       INTEGER NOT NULL,
	error        TEXT NOT NULL,
	run          TEXT NOT NULL,
	signer       TEXT NOT NULL,
	user         TEXT NOT NULL,
	host         TEXT NOT NULL,
	program      TEXT NOT NULL,
	version      TEXT NOT NULL,
	account      TEXT NOT NULL,
	pod          TEXT NOT NULL,
	record       TEXT NOT NULL, -- the canonical text that the hashes are of
	PRIMARY KEY (writer, place),
	FOREIGN KEY (writer, number) REFERENCES audit_batches (writer, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_time ON audit (at_ns);
CREATE INDEX audit_by_id ON audit (id);

CREATE TABLE audit_anchors (
	number   INTEGER PRIMARY KEY CHECK (number > 0),
	at_ns    INTEGER NOT NULL,
	previous TEXT NOT NULL CHECK (length(previous) = 64), -- hash of the one before
	hash     TEXT NOT NULL CHECK (length(hash) = 64),
	records  INTEGER NOT NULL,                            -- in the whole trail then
	signer   TEXT NOT NULL,
	user     TEXT NOT NULL,
	host     TEXT NOT NULL,
	record   TEXT NOT NULL                                -- the canonical text that the hash is of
) STRICT;

-- Where each chain was that had changed since the anchor before.
CREATE TABLE audit_heads (
	anchor  INTEGER NOT NULL REFERENCES audit_anchors (number),
	writer  TEXT NOT NULL,
	number  INTEGER NOT NULL,
	records INTEGER NOT NULL,
	hash    TEXT NOT NULL CHECK (length(hash) = 64),
	PRIMARY KEY (anchor, writer)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_heads_by_writer ON audit_heads (writer, number);

CREATE TRIGGER audit_batches_stay BEFORE DELETE ON audit_batches
BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
CREATE TRIGGER audit_stay BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
CREATE TRIGGER audit_anchors_stay BEFORE DELETE ON audit_anchors
BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
CREATE TRIGGER audit_batches_fixed BEFORE UPDATE ON audit_batches
BEGIN
	SELECT raise(ABORT, 'the audit trail does not change');
END;
CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit trail does not change'); END;
CREATE TRIGGER audit_anchors_fixed BEFORE UPDATE ON audit_anchors
BEGIN
	SELECT raise(ABORT, 'the audit trail does not change');
END;
CREATE TRIGGER audit_heads_fixed BEFORE UPDATE ON audit_heads
BEGIN
	SELECT raise(ABORT, 'the audit trail does not change');
END;

-- Objects of the trail that could not be taken over, as of the last sync that met them.
CREATE TABLE audit_unread (
	object   TEXT PRIMARY KEY,
	found_ns INTEGER NOT NULL,
	detail   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When the whole trail was last listed, and not only its last days. One row.
CREATE TABLE audit_sync (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	at_ns   INTEGER NOT NULL,
	full_ns INTEGER NOT NULL
) STRICT;

-- What was done, times as text. object: the first of them; signer_name: of the key that has signed the batch.
CREATE VIEW v_audit AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', a.at_ns / 1000000000, 'unixepoch') AS at, a.act,
       a.object, a.objects, a.object_count, a.why, a.result, a.status,
       a.error, a.user, a.host, a.program, a.version, a.account, a.pod, a.run, a.took_ms, a.at_ns,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.received_ns / 1000000000, 'unixepoch') AS received, b.received_ns,
       b.signer, coalesce(s.name, '') AS signer_name, a.signer AS key_used, a.writer, a.place, a.number, a.id
FROM audit a
JOIN audit_batches b ON b.writer = a.writer AND b.number = a.number
LEFT JOIN signers s ON s.signer = b.signer;
