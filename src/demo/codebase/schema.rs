//! The tables, as a script that is one transaction and may be run again.

use crate::demo::schema;

/// Whether an item can be there twice.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// Every item has a unique key, so that writing it twice is the same as writing it once.
    Unique,
    /// Writing an item twice stores it twice.
    Repeated,
}

/// The script that makes the tables.
pub(super) fn script(keys: Keys) -> String {
    let indexes = match keys {
        Keys::Unique => UNIQUE,
        Keys::Repeated => REPEATED,
    };
    schema::script(8020, &format!("{TABLES} {indexes}"))
}

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS index_jobs (
    id uuid PRIMARY KEY,
    files_total integer NOT NULL,
    files_done integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running',
    created_at timestamptz NOT NULL DEFAULT now()
);
-- The words are kept, so that a search need not take texts apart again.
CREATE TABLE IF NOT EXISTS indexed_files (
    file text NOT NULL,
    job uuid NOT NULL,
    checksum text NOT NULL,
    content text NOT NULL,
    embedding bytea NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', content)) STORED
);
CREATE TABLE IF NOT EXISTS chunks (
    id uuid NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED
);
CREATE INDEX IF NOT EXISTS indexed_files_words ON indexed_files
    USING gin (words) WITH (fastupdate = off);
CREATE INDEX IF NOT EXISTS chunks_words ON chunks
    USING gin (words) WITH (fastupdate = off);
";

const UNIQUE: &str = "
CREATE UNIQUE INDEX IF NOT EXISTS indexed_files_once ON indexed_files (file);
CREATE UNIQUE INDEX IF NOT EXISTS chunks_once ON chunks (id);
";

const REPEATED: &str = "
CREATE INDEX IF NOT EXISTS indexed_files_by_file ON indexed_files (file);
CREATE INDEX IF NOT EXISTS chunks_by_id ON chunks (id);
";
