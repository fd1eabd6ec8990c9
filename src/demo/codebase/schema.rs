//! The tables. Each script is one transaction and may be run again.

/// Every item has a unique key, so that writing it twice is the same as writing it once.
pub(super) const SCHEMA: &str = "
BEGIN;
-- Several instances may start at once, and IF NOT EXISTS does not see uncommitted tables.
SELECT pg_advisory_xact_lock(8020);
CREATE TABLE IF NOT EXISTS index_jobs (
    id uuid PRIMARY KEY,
    files_total integer NOT NULL,
    files_done integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS indexed_files (
    file text NOT NULL,
    job uuid NOT NULL,
    checksum text NOT NULL,
    content text NOT NULL,
    embedding bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS chunks (
    id uuid NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS indexed_files_once ON indexed_files (file);
CREATE UNIQUE INDEX IF NOT EXISTS chunks_once ON chunks (id);
CREATE INDEX IF NOT EXISTS indexed_files_text ON indexed_files
    USING gin (to_tsvector('simple', content)) WITH (fastupdate = off);
CREATE INDEX IF NOT EXISTS chunks_text ON chunks
    USING gin (to_tsvector('simple', text)) WITH (fastupdate = off);
COMMIT;
";

/// The same tables with indexes that allow an item to be there twice.
pub(super) const WITHOUT_UNIQUE: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(8020);
CREATE TABLE IF NOT EXISTS index_jobs (
    id uuid PRIMARY KEY,
    files_total integer NOT NULL,
    files_done integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS indexed_files (
    file text NOT NULL,
    job uuid NOT NULL,
    checksum text NOT NULL,
    content text NOT NULL,
    embedding bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS chunks (
    id uuid NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMIT;
";
