//! References to chunks that codebase keeps. They are opaque ids: only codebase knows what they
//! stand for, and it may be away or have forgotten them.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::demo::client::Client;

/// What is known of a reference.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub(super) enum Reference {
    /// Codebase has it.
    Found {
        /// Its id.
        id: Uuid,
        /// Its text.
        text: String,
    },
    /// Codebase does not have it, or no longer.
    Gone {
        /// Its id.
        id: Uuid,
        /// What to show instead.
        text: &'static str,
    },
    /// Codebase cannot be asked.
    Unknown {
        /// Its id.
        id: Uuid,
        /// What to show instead.
        text: &'static str,
    },
}

/// Asks codebase about references.
#[derive(Debug, Clone)]
pub(super) struct References {
    codebase: Client,
}

impl References {
    pub(super) fn new(url: &str, deadline: Duration) -> Self {
        Self {
            codebase: Client::new(url, deadline),
        }
    }

    /// What codebase knows of `id`.
    pub(super) async fn resolve(&self, id: Uuid) -> Reference {
        match self.codebase.send(&format!("/chunks/{id}"), None).await {
            Ok((StatusCode::OK, body)) => Reference::Found {
                id,
                text: body["text"].as_str().unwrap_or_default().to_owned(),
            },
            Ok((StatusCode::NOT_FOUND, _)) => Reference::Gone {
                id,
                text: "(no longer in codebase)",
            },
            Ok(_) | Err(_) => Reference::Unknown {
                id,
                text: "(codebase is unavailable)",
            },
        }
    }

    /// Looks something up and reports whether codebase answered.
    pub(super) async fn answer(&self) -> bool {
        !matches!(self.resolve(Uuid::nil()).await, Reference::Unknown { .. })
    }
}
