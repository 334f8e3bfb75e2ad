//! Grants that move in.

use super::Desk;
use crate::api::ImportRequest;
use crate::cli::error::Error;
use crate::connector::{Grant, ImportOptions, Outcome};

impl Desk {
    pub(in crate::cli) async fn import(
        &self,
        grants: Vec<Grant>,
        options: &ImportOptions,
    ) -> Result<Vec<Outcome>, Error> {
        match self {
            Self::Here(connector) => Ok(connector.import(grants, options).await?),
            Self::There(client) => {
                let request = ImportRequest { grants, options: options.clone() };
                client.long("/grants", &request, |(): ()| {}).await
            }
        }
    }
}
