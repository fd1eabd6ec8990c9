//! The version of a database's tables. A database of another version is not touched.

use tokio_postgres::Error;

/// The version that the code expects, as it is written in the table `schema_version`.
const VERSION: &str = "003";
/// The SQLSTATE with which the script below refuses a database; its class is unused.
const MISMATCH: &str = "SV001";

/// A script that makes `tables`, in one transaction, and may be run again. Instances that start at
/// once take turns by `lock`: IF NOT EXISTS does not see uncommitted tables.
pub(super) fn script(lock: u32, tables: &str) -> String {
    format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock({lock});
         CREATE TABLE IF NOT EXISTS schema_version (version text NOT NULL);
         INSERT INTO schema_version (version)
           SELECT '{VERSION}' WHERE NOT EXISTS (SELECT FROM schema_version);
         DO $$
           DECLARE found text := (SELECT max(version) FROM schema_version);
           BEGIN
             IF found <> '{VERSION}' THEN
               RAISE EXCEPTION 'Database at %, code expects {VERSION}', found
                 USING ERRCODE = '{MISMATCH}';
             END IF;
           END
         $$;
         {tables}
         COMMIT;"
    )
}

/// The message about both versions, if the script failed because they differ.
pub(super) fn mismatch(error: &Error) -> Option<&str> {
    let error = error.as_db_error()?;
    (error.code().code() == MISMATCH).then(|| error.message())
}
